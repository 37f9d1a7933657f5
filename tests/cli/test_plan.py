"""The graph, before anything runs."""

UNREAD = "its project has not been read yet"
ACCOUNTS = """
pipeline: revenue
tasks:
  crm: {uses: fivetran.sync, with: {connection: crm}}
  pay: {uses: fivetran.sync, with: {connection: pay}}
  marts: {uses: dbt.build, with: {select: "+tag:revenue"}}
  checked: {uses: shell.run, with: {command: "true"}, needs: [marts]}
"""


def test_the_graph_is_a_tree_with_its_schedule_deadline_and_routes(stackhub):
    shown = stackhub("plan", "shop")
    assert shown.code == 0
    assert shown.lines == [
        "shop  A small shop; owner finance-data",
        "  orders    shell.run",
        "  payments  python.run",
        "  └─ marts  shell.run   waits for orders, payments: declared under needs",
        "  starts       cron 0 6 * * 1-5 (Europe/Berlin)",
        "  must end     by 07:30 (Europe/Berlin), and within 1h15m",
        "  tells        nobody: there is no alerts block, and no notifier has an env file",
        "  when missed  catchup last, overlap skip",
    ]


def test_an_edge_that_nobody_wrote_says_which_rule_made_it(stackhub, directory):
    (directory / "pipelines" / "revenue.yaml").write_text(ACCOUNTS)
    (directory / "fivetran.env").write_text("FIVETRAN_API_KEY=k\nFIVETRAN_API_SECRET=s\n")
    assert (
        "+tag:revenue; waits for crm, pay: a transform without needs waits for every extract; "
        "not narrowed: its project has not been read yet" in stackhub("plan", "revenue").out
    )
    [view] = stackhub("plan", "revenue", "--json").json
    assert [(edge["from"], edge["to"], edge["why"]) for edge in view["edges"]] == [
        ("crm", "marts", f"a transform without needs waits for every extract; not narrowed: {UNREAD}"),
        ("pay", "marts", f"a transform without needs waits for every extract; not narrowed: {UNREAD}"),
        ("marts", "checked", "declared under needs"),
    ]


def test_mermaid_is_a_flowchart_whose_edges_by_rule_are_dotted(stackhub, directory):
    (directory / "pipelines" / "revenue.yaml").write_text(ACCOUNTS)
    (directory / "fivetran.env").write_text("FIVETRAN_API_KEY=k\nFIVETRAN_API_SECRET=s\n")
    drawn = stackhub("plan", "revenue", "--mermaid").lines
    assert drawn[:3] == ["flowchart LR", '  subgraph p0["revenue"]', '    p0t0["crm<br/>fivetran.sync"]']
    assert [line.strip() for line in drawn if "->" in line] == [
        "p0t0 -.-> p0t2",
        "p0t1 -.-> p0t2",
        "p0t2 --> p0t3",
    ]


def test_without_a_name_every_pipeline_is_planned(stackhub):
    assert [view["pipeline"] for view in stackhub("plan", "--json").json] == ["broken", "long", "shop"]
    assert stackhub("plan", "nix").code == 2


def test_a_paused_pipeline_says_so(stackhub):
    stackhub("pause", "shop", "--reason", "upgrade")
    assert stackhub("run", "broken").code == 1  # obeys what was kept
    assert "paused: upgrade" in stackhub("plan", "shop").lines[0]
    assert stackhub("plan", "shop", "--json").json[0]["paused"] is True
    assert "paused: upgrade" in stackhub("next", "shop").out
