"""Pipeline files that come to nothing: what is told of them, and where."""

import pytest


def tasks(text):
    """Return a pipeline file with these tasks, which begin in line 3."""
    return f"pipeline: x\ntasks:\n{text}"


B = "  b: {uses: mill.build, needs: []}\n"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        # the file
        ("[]", "1:1: should be a mapping (key: value)"),
        ("pipeline: x", "1:1: tasks: a pipeline has at least one task"),
        ("pipeline: x\ntasks: {}", "2:8: tasks: a pipeline has at least one task"),
        ("pipeline: x\ntasks:\n", "2:1: tasks: is empty"),
        ("tasks:\n" + B, "1:1: pipeline: is required"),
        ("pipeline: Rev\ntasks:\n" + B, "1:11: pipeline: a name is made of lower-case letters, digits, _ and -, does not begin with -, and has 64 characters at most"),
        (f"pipeline: {'x' * 65}\ntasks:\n" + B, "1:11: pipeline: a name is made of lower-case letters, digits, _ and -, does not begin with -, and has 64 characters at most"),
        ("pipeline: 5\ntasks:\n" + B, "1:11: pipeline: should be text: put it in quotes"),
        ("shedule: {every: 1h}\n" + tasks(B), "1:1: unknown key 'shedule': did you mean 'schedule'?"),
        ("owner: 5\n" + tasks(B), "1:8: owner: should be text: put it in quotes"),
        ("owner:\n" + tasks(B), "1:1: owner: is empty"),
        ("catchup: some\n" + tasks(B), "1:10: catchup: should be 'none', 'last' or 'all'"),
        ("overlap: wait\n" + tasks(B), "1:10: overlap: should be 'skip', 'queue' or 'cancel'"),
        ("max_active: 0\n" + tasks(B), "1:13: max_active: should be greater than or equal to 1"),
        ("max_active: 0777\n" + tasks(B), '1:13: max_active: 0777 begins with 0, which YAML 1.1 and 1.2 read differently: write "0777" for text, 777 for a number, 0o777 for octal'),
        ("mod: shadow\n" + tasks(B), "1:1: unknown key 'mod': did you mean 'mode'?"),
        ("mode: dry\n" + tasks(B), "1:7: mode: should be 'live' or 'shadow'"),
        # schedule
        ("schedule: {cron: '0 25 * * *'}\n" + tasks(B), "1:18: schedule.cron: hour: cannot read '25'; it takes 0-23"),
        ("schedule: {cron: '0 6 * *'}\n" + tasks(B), "1:18: schedule.cron: '0 6 * *' has 4 fields; a cron line has five: minute, hour, day of month, month, day of week"),
        ("schedule: {cron: '0 0 30 2 *'}\n" + tasks(B), "1:18: schedule.cron: day of month: '30' never comes in month '2' on day of week '*'"),
        ('schedule: {cron: "0 6\\n* *"}\n' + tasks(B), "1:18: schedule.cron: '0 6 * *' has 4 fields; a cron line has five: minute, hour, day of month, month, day of week"),
        ("schedule: {cron: '@daily'}\n" + tasks(B), "1:18: schedule.cron: @daily is not read: write '0 0 * * *'"),
        ("schedule:\n  - {every: 1h}\n  - {cron: 5}\n" + tasks(B), "3:12: schedule[1].cron: should be text: put it in quotes"),
        ("schedule: {every: 0s}\n" + tasks(B), "1:19: schedule.every: should lie between 1s and 366d"),
        ("schedule: {every: 15}\n" + tasks(B), "1:19: schedule.every: should be a duration, and 15 has no unit: write 15s, 15m or 15h"),
        ("schedule: {every: 1h, cron: '0 6 * * *'}\n" + tasks(B), "1:11: schedule: has both cron and every: keep one"),
        ("schedule: {timezone: UTC}\n" + tasks(B), "1:11: schedule: needs cron or every"),
        ("schedule: {cron: }\n" + tasks(B), "1:12: schedule.cron: is empty"),
        ("schedule: {every: 1h, timezone: Europe/Berln}\n" + tasks(B), "1:33: schedule.timezone: 'Europe/Berln' is no time zone: did you mean 'Europe/Berlin'?"),
        ("schedule: 1h\n" + tasks(B), "1:11: schedule: should be a list"),
        ("schedule: {cron: '0 6 * * *', require: ['tip:a']}\n" + tasks(B), "1:41: schedule.require[0]: unknown instance 'tip': did you mean 'tap'?"),
        ("schedule: {cron: '0 6 * * *', require: []}\n" + tasks(B), "1:40: schedule.require: names no connection"),
        ("schedule: {cron: '0 6 * * *', not_later_than: '07:00'}\n" + tasks(B), "1:31: schedule.not_later_than: without require there is nothing to wait for: add require, or leave it out"),
        ("schedule: {cron: '0 6 * * *', require: ['tap:a'], not_later_than: '7:00'}\n" + tasks(B), "1:67: schedule.not_later_than: should be a time of day, HH:MM: write 07:00"),
        ("schedule: {cron: '0 6 * * *', require: ['tap:a'], otherwise: skip}\n" + tasks(B), "1:51: schedule.otherwise: says what a tick does when its time is up: add not_later_than"),
        ("schedule: {cron: '0 6 * * *', require: ['tap:a'], not_later_than: '07:00', otherwise: wait}\n" + tasks(B), "1:87: schedule.otherwise: should be 'run', 'skip' or 'alert'"),
        # triggers
        ("triggers: [{landed: [a]}]\n" + tasks(B), "1:22: triggers[0].landed[0]: should be <instance>:<connection>, such as fivetran:a"),
        ("triggers: [{landed: ['tap:']}]\n" + tasks(B), "1:22: triggers[0].landed[0]: should be <instance>:<connection>, such as fivetran:tap"),
        ("triggers: [{landed: []}]\n" + tasks(B), "1:21: triggers[0].landed: names no connection"),
        ("triggers: [{landed: ['tapp:a']}]\n" + tasks(B), "1:22: triggers[0].landed[0]: unknown instance 'tapp': did you mean 'tap'?"),
        ("triggers: [{landed: ['mill:a']}]\n" + tasks(B), "1:22: triggers[0].landed[0]: mill loads nothing, so nothing lands there"),
        ("triggers: [{landed: ['tap:a', 'tap:a']}]\n" + tasks(B), "1:31: triggers[0].landed[1]: 'tap:a' is listed twice"),
        ("triggers: [{landed: tap:a}]\n" + tasks(B), "1:21: triggers[0].landed: should be a list"),
        ("triggers: [{pipeline: x, landed: ['tap:a']}]\n" + tasks(B), "1:12: triggers[0]: has both pipeline and landed: make two of it"),
        ("triggers: [{file: 's3x://b/*'}]\n" + tasks(B), "1:19: triggers[0].file: unknown instance 's3x'; there is bell, cellar, horn, mill, mill_fast, tap, tap.eu"),
        ("triggers: [{file: 's3://bucket'}]\n" + tasks(B), "1:19: triggers[0].file: should be s3://<bucket>/<glob>"),
        ("triggers: [{file: in/*, instance: tap}]\n" + tasks(B), "1:25: triggers[0].instance: files of this machine belong to no instance"),
        ("triggers: [{file: in/*, every: 0s}]\n" + tasks(B), "1:32: triggers[0].every: should be 1s at least"),
        ("triggers: [{landed: ['tap:a'], settle: 1s}]\n" + tasks(B), "1:32: triggers[0].settle: means something for file only, not for landed"),
        ("triggers: [{file: in/*, any: true}]\n" + tasks(B), "1:25: triggers[0].any: means something for landed only, not for file"),
        ("triggers: [{webhook: {secret: hunter2hunter2hunter2}}]\n" + tasks(B), "1:31: triggers[0].webhook.secret: is a secret and must not stand in a file: use ${VAR}, without a default"),
        ("triggers: [{webhook: {secret: '${ROWS:-x}'}}]\n" + tasks(B), "1:31: triggers[0].webhook.secret: is a secret and must not stand in a file: use ${VAR}, without a default"),
        ("triggers: [{webhook: {secret: '${ROWS}'}}]\n" + tasks(B), "1:31: triggers[0].webhook.secret: the variable ROWS is not set, or has less than 16 characters: make one with `openssl rand -hex 32`"),
        ("triggers: [{webhook: {}}]\n" + tasks(B), "1:13: triggers[0].webhook.secret: is required"),
        ("triggers: [{pipelin: y}]\n" + tasks(B), "1:13: triggers[0]: unknown key 'pipelin': did you mean 'pipeline'?"),
        ("triggers: [{pipeline: y}]\n" + tasks(B), "1:23: triggers[0].pipeline: unknown pipeline 'y'; there is x"),
        ("triggers: [{pipeline: x}]\n" + tasks(B), "1:23: triggers[0].pipeline: a pipeline cannot start itself"),
        ("triggers: [{}]\n" + tasks(B), "1:12: triggers[0]: needs a key: pipeline, landed, file, webhook"),
        ("triggers: {pipeline: y}\n" + tasks(B), "1:11: triggers: should be a list"),
        # sla
        ("sla: {}\n" + tasks(B), "1:6: sla: needs finish_by or max_duration"),
        ("sla: {finish_by: 7:30}\n" + tasks(B), "1:18: sla.finish_by: should be a time of day, HH:MM: write 07:30"),
        ("sla: {finish_by: '24:00'}\n" + tasks(B), "1:18: sla.finish_by: should be a time of day, HH:MM, such as 07:30"),
        ("sla: {finish_by: 730}\n" + tasks(B), "1:18: sla.finish_by: should be text: put it in quotes"),
        ("sla: {max_duration: 0m}\n" + tasks(B), "1:21: sla.max_duration: should be longer than nothing"),
        ("sla: {max_duration: 1h, at_risk: 1.5}\n" + tasks(B), "1:34: sla.at_risk: should be less than or equal to 1"),
        ("sla: {max_duration: 1h, at_risk: 0.2, at_risk_ends: 0.3}\n" + tasks(B), "1:53: sla.at_risk_ends: should not lie above at_risk, which is 0.2"),
        ("sla:\n  finish_by:\n" + tasks(B), "2:3: sla.finish_by: is empty"),
        ("schedule: [{cron: '0 6 * * *', timezone: Asia/Tokyo}, {cron: '0 6 * * *'}]\nsla: {finish_by: 07:30}\n" + tasks(B), "2:18: sla.finish_by: in which zone? The schedules are in Asia/Tokyo and UTC: add timezone under sla"),
        # tasks
        (tasks("  'a b': {uses: mill.build}\n"), "3:3: tasks.a b: a name is made of lower-case letters, digits, _ and -, does not begin with -, and has 64 characters at most"),
        (tasks("  a: {}\n" + B), "3:3: tasks.a.uses: is required"),
        (tasks("  a:\n" + B), "3:3: tasks.a: is empty"),
        (tasks("  a: {uses: mil.build}\n"), "3:13: tasks.a.uses: unknown connector 'mil': did you mean 'mill'?"),
        (tasks("  a: {uses: mill.bild}\n"), "3:13: tasks.a.uses: unknown operation 'mill.bild': did you mean 'mill.build'?"),
        (tasks("  a: {uses: mill}\n"), "3:13: tasks.a.uses: is <connector>.<operation>; there is mill.build"),
        (tasks("  a: {uses: bell.ring}\n"), "3:13: tasks.a.uses: bell has no operations: it tells people things, and stands under alerts"),
        (tasks("  a: {uses: mill.build, needs: [b, c]}\n" + B), "3:36: tasks.a.needs[1]: unknown task 'c'; there is b"),
        (tasks("  aa: {uses: mill.build, needs: []}\n  b: {uses: mill.build, needs:\n    [{task: aaa}]}\n"), "5:6: tasks.b.needs[0]: unknown task 'aaa': did you mean 'aa'?"),
        (tasks("  a: {uses: mill.build, needs: [a]}\n"), "3:33: tasks.a.needs[0]: a task cannot need itself"),
        (tasks("  a: {uses: mill.build, needs: [b, b]}\n" + B), "3:36: tasks.a.needs[1]: 'b' is listed twice"),
        (tasks("  a: {uses: mill.build, needs: b}\n" + B), "3:32: tasks.a.needs: should be a list"),
        (tasks("  a: {uses: mill.build, needs: [{task: b, complete: yes}]}\n" + B), "3:53: tasks.a.needs[0].complete: should be true or false"),
        (tasks("  a: {uses: mill.build, need: [b]}\n" + B), "3:25: tasks.a: unknown key 'need': did you mean 'needs'?"),
        (tasks("  a: {uses: mill.build, timeout: 0s}\n"), "3:34: tasks.a.timeout: should be longer than nothing"),
        (tasks("  a: {uses: mill.build, timeout: soon}\n"), "3:34: tasks.a.timeout: should be a duration such as 90s, 15m, 2h, 1d or 1h30m"),
        (tasks("  a: {uses: mill.build, retries: 3}\n"), "3:34: tasks.a.retries: should be a mapping (key: value)"),
        (tasks("  a: {uses: mill.build, retries: {attempts: 0}}\n"), "3:45: tasks.a.retries.attempts: should be greater than or equal to 1"),
        (tasks("  a: {uses: mill.build, retries: {attempts: 101}}\n"), "3:45: tasks.a.retries.attempts: should be less than or equal to 100"),
        (tasks("  a: {uses: mill.build, retries: {backoff: 0.5}}\n"), "3:44: tasks.a.retries.backoff: should be greater than or equal to 1"),
        (tasks("  a: {uses: mill.build, retries: {wait: 5m, max_wait: 1m}}\n"), "3:55: tasks.a.retries.max_wait: is shorter than wait, which is 5m"),
        ("defaults: {retries: {max_wait: 1m}}\n" + tasks("  a: {uses: mill.build, retries: {wait: 5m}}\n"), "1:32: defaults.retries.max_wait: is shorter than wait, which is 5m"),
        ("defaults: {timeout: 0s}\n" + tasks(B), "1:21: defaults.timeout: should be longer than nothing"),
        ("defaults: {retries: {wait: }}\n" + tasks(B), "1:22: defaults.retries.wait: is empty"),
        ("defaults: {retry: {}}\n" + tasks(B), "1:12: defaults: unknown key 'retry': did you mean 'retries'?"),
        (tasks("  a: {uses: mill.build, on_timeout: stop}\n"), "3:37: tasks.a.on_timeout: should be 'cancel' or 'let_go'"),
        (tasks("  a: {uses: mill.build, freshness: old}\n"), "3:36: tasks.a.freshness: should be 'attach' or 'require_new'"),
        # instances
        (tasks("  a: {uses: mill.build, instance: mill.eu}\n"), "3:35: tasks.a.instance: no instance 'mill.eu': there is neither mill.eu.env nor a variable MILL_EU_* in the environment"),
        (tasks("  a: {uses: tap.sync, instance: tap.eue, with: {connection: c}}\n"), "3:33: tasks.a.instance: no instance 'tap.eue': there is neither tap.eue.env nor a variable TAP_EUE_* in the environment: did you mean 'tap.eu'?"),
        (tasks("  a: {uses: tap.sync, instance: eu, with: {connection: c}}\n"), "3:33: tasks.a.instance: 'eu' is no instance of tap: did you mean 'tap.eu'?"),
        (tasks("  a: {uses: tap.sync, instance: mill, with: {connection: c}}\n"), "3:33: tasks.a.instance: 'mill' is no instance of tap; there is tap, tap.eu"),
        # with
        (tasks("  a: {uses: tap.sync}\n"), "3:3: tasks.a.with.connection: is required"),
        (tasks("  a: {uses: tap.sync, with: {connection: ''}}\n"), "3:42: tasks.a.with.connection: must not be empty"),
        (tasks("  a: {uses: tap.sync, with: {connection: '${EMPTY}'}}\n"), "3:42: tasks.a.with.connection: must not be empty"),
        (tasks("  a: {uses: tap.sync, with: {connection: 2024}}\n"), "3:42: tasks.a.with.connection: should be text: put it in quotes"),
        (tasks("  a: {uses: tap.sync, with: {conection: c}}\n"), "3:30: tasks.a.with: unknown key 'conection': did you mean 'connection'?"),
        (tasks("  a: {uses: tap.sync, with: {connection: c, rows: -1}}\n"), "3:51: tasks.a.with.rows: should be greater than or equal to 0"),
        (tasks("  a: {uses: tap.sync, with: {connection: c, rows: '${ROWS}'}}\n"), "3:51: tasks.a.with.rows: should be a whole number"),
        (tasks("  a: {uses: tap.sync, with: {connection: '${NONE}'}}\n"), "3:42: tasks.a.with.connection: the variable NONE is not set in the environment; set it, give a default with ${NONE:-...}, or write $${NONE} for a literal ${NONE}"),
        (tasks("  a: {uses: tap.sync, with: {connection: '{{ run.idd }}'}}\n"), "3:42: tasks.a.with.connection: unknown name 'run.idd' in {{ }}; write `{{{{` for a literal `{{`: did you mean 'run.id'?"),
        (tasks("  a: {uses: tap.sync, with: }\n"), "3:23: tasks.a.with: is empty"),
        (tasks("  a: {uses: tap.sync, with: [c]}\n"), "3:29: tasks.a.with: should be a mapping (key: value)"),
        (tasks("  a:\n    uses: mill.build\n    with:\n      select: {a: 1}\n"), "6:15: tasks.a.with.select: should be a valid string, or should be a list"),
        (tasks("  a: {uses: cellar.check, with: {url: 'db://u:p@h'}}\n"), "3:39: tasks.a.with.url: is a secret and must not stand in a file: use ${VAR}"),
        (tasks("  a: {uses: cellar.check, with: {url: '${W:-db://u:p@h}'}}\n"), "3:39: tasks.a.with.url: is a secret, and so would be its default: use ${VAR} without one"),
        (tasks("  a: {uses: cellar.check, with: {url: '$${W}'}}\n"), "3:39: tasks.a.with.url: is a secret and must not stand in a file: use ${VAR}"),
        (tasks("  a: {uses: cellar.check, with: {url: '${EMPTY}', headers: {k: v}}}\n"), "3:64: tasks.a.with.headers.k: is a secret and must not stand in a file: use ${VAR}"),
        (tasks("  a: {uses: cellar.check, with: {url: '${EMPTY}', unit: '${WAREHOUSE_URL}'}}\n"), "3:57: tasks.a.with.unit: no such unit: ${WAREHOUSE_URL}"),
        # alerts
        ("alerts: [{to: bel}]\n" + tasks(B), "1:15: alerts[0].to: unknown instance 'bel': did you mean 'bell'?"),
        ("alerts: [{to: bell.us}]\n" + tasks(B), "1:15: alerts[0].to: no instance 'bell.us': there is neither bell.us.env nor a variable BELL_US_* in the environment: did you mean 'bell'?"),
        ("alerts: [{to: mill}]\n" + tasks(B), "1:15: alerts[0].to: mill tells nobody anything: it is no notifier"),
        ("alerts: [{to: bell, on: [failed, broken]}]\n" + tasks(B), "1:34: alerts[0].on[1]: should be 'failed', 'late', 'at_risk', 'stalled', 'upstream' or 'resolved'"),
        ("alerts: [{to: bell, on: [resolved]}]\n" + tasks(B), "1:25: alerts[0].on: lists nothing that opens an incident: at_risk, failed, late, stalled, upstream"),
        ("alerts: [{to: bell, on: []}]\n" + tasks(B), "1:25: alerts[0].on: lists nothing that opens an incident: at_risk, failed, late, stalled, upstream"),
        ("alerts: [{to: bell, renotify: 30s}]\n" + tasks(B), "1:31: alerts[0].renotify: is 30s: at least 5m"),
        ("alerts: [{to: bell, renotify: soon}]\n" + tasks(B), "1:31: alerts[0].renotify: should be a duration such as 90s, 15m, 2h, 1d or 1h30m"),
        ("alerts: [{to: bell, owner: []}]\n" + tasks(B), "1:28: alerts[0].owner: lists nobody: leave it out to hear of everything"),
        ("alerts: [{to: bell, owner: 7}]\n" + tasks(B), "1:28: alerts[0].owner: should be a list"),
        ("alerts: [{to: bell, owner: ''}]\n" + tasks(B), "1:28: alerts[0].owner: must not be empty"),
        ("alerts: [{to: bell, on: failed}]\n" + tasks(B), "1:25: alerts[0].on: should be a list"),
        ("alerts: [{to: bell, chanel: c}]\n" + tasks(B), "1:21: alerts[0]: unknown key 'chanel': did you mean 'channel'?"),
        ("alerts: [{to: bell, channel: 5}]\n" + tasks(B), "1:30: alerts[0].channel: should be text: put it in quotes"),
        ("alerts: [{to: bell, severity: bad}]\n" + tasks(B), "1:31: alerts[0].severity: should be 'info', 'warning', 'error' or 'critical'"),
        ("alerts: [{channel: c}]\n" + tasks(B), "1:10: alerts[0].to: is required"),
        ("alerts: [{to: horn}]\n" + tasks(B), "1:10: alerts[0].melody: is required"),
        ("alerts: {to: bell}\n" + tasks(B), "1:9: alerts: should be a list"),
    ],
    ids=lambda text: text[:50].replace("\n", " "),
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_place(furnished, text, problem):
    furnished.put("tap.eu.env", "TAP_API_KEY=eu-key\n")
    furnished.environ |= {"EMPTY": "", "ROWS": "many"}
    furnished.write(p_x=text)
    assert furnished.problems() == [f"pipelines/x.yaml:{problem}"]


def test_a_cycle_is_named_in_its_order(furnished):
    text = tasks(
        "  a: {uses: mill.build, needs: [c]}\n  b: {uses: mill.build, needs: [a]}\n  c: {uses: mill.build, needs: [b]}\n"
        "  d: {uses: mill.build, needs: [c]}\n  e: {uses: mill.build, needs: [f]}\n  f: {uses: mill.build, needs: [e]}\n",
    )
    assert furnished.write(p_x=text).problems() == [
        "pipelines/x.yaml:3:32: tasks.a.needs: tasks need each other: a needs c needs b needs a",
        "pipelines/x.yaml:7:32: tasks.e.needs: tasks need each other: e needs f needs e",
    ]


def test_a_cycle_through_a_transform_that_waits_for_every_extract_says_so(furnished):
    text = tasks("  back: {uses: tap.sync, with: {connection: c}, needs: [m]}\n  m: {uses: mill.build}\n")
    assert furnished.write(p_x=text).problems() == [
        (
            "pipelines/x.yaml:3:56: tasks.back.needs: tasks need each other: back needs m needs back; "
            "m has no needs and so waits for every extract: give it needs"
        ),
    ]


def test_pipelines_that_start_each_other_are_a_problem(furnished):
    for name, after in (("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")):
        furnished.put(f"pipelines/{name}.yaml", f"pipeline: {name}\ntriggers: [{{pipeline: {after}}}]\ntasks:\n{B}")
    assert furnished.problems() == [
        "pipelines/a.yaml:2:23: triggers[0].pipeline: pipelines start each other for ever: a after b after c after a",
    ]


def test_a_name_used_twice_names_both_places(furnished):
    furnished.write(p_a=tasks(B), p_b="# x\n" + tasks(B))
    assert furnished.problems() == [
        "pipelines/b.yaml:2:11: pipeline: 'x' is the name of another pipeline: pipelines/a.yaml:1:11",
    ]


def test_a_pipeline_whose_name_cannot_be_read_is_not_unknown_for_that(furnished):
    furnished.write(p_a="pipeline: [", p_b="triggers: [{pipeline: a}]\n" + tasks(B))
    assert [problem.partition(":")[0] for problem in furnished.problems()] == ["pipelines/a.yaml"]


def test_every_problem_is_told_at_once_in_the_order_of_places(furnished):
    furnished.write(
        stackhub="STACKHUB_PORT=x\n",
        tap="TAP_PAGE=x\n",
        p_a="pipelin: a\nowner: 5\ntasks:\n  m: {uses: mill.bild, retris: 1, needs: [z]}\n  n: {uses: tap.sync, needs: [n]}\n"
        "alerts: [{to: bell, on: 5}, {to: nobody}]\n",
        p_b="pipeline: b\nschedule: {cron: x, every: 1}\ntasks: {m: {uses: mill.build, with: {partial: maybe, selct: x}}}\n",
    )
    assert [problem.split(": ")[0] for problem in furnished.problems()] == [
        "pipelines/a.yaml:1:1",
        "pipelines/a.yaml:2:8",
        "pipelines/a.yaml:4:13",
        "pipelines/a.yaml:4:24",
        "pipelines/a.yaml:4:43",
        "pipelines/a.yaml:5:3",
        "pipelines/a.yaml:5:31",
        "pipelines/a.yaml:6:25",
        "pipelines/a.yaml:6:34",
        "pipelines/b.yaml:2:11",
        "pipelines/b.yaml:2:18",
        "pipelines/b.yaml:2:28",
        "pipelines/b.yaml:3:47",
        "pipelines/b.yaml:3:54",
        "stackhub.env:1",
        "tap.env",
        "tap.env:1",
    ]


def test_problems_are_in_the_order_of_lines_as_numbers(furnished):
    furnished.write(p_x=tasks("".join(f"  t{n}: {{uses: mill.bild}}\n" for n in range(9))))
    lines = [int(problem.split(":")[1]) for problem in furnished.problems()]
    assert lines == list(range(3, 12))


def test_a_faulty_item_of_a_list_moves_no_other(furnished):
    furnished.write(p_x="alerts: [x, {to: nobody}]\n" + tasks("  a: {uses: mill.build, needs: [5, z]}\n"))
    assert [problem.partition(": ")[2].split(":")[0] for problem in furnished.problems()] == [
        "alerts[0]",
        "alerts[1].to",
        "tasks.a.needs[0]",
        "tasks.a.needs[1]",
    ]


def test_two_routes_that_differ_only_in_options_are_two(furnished):
    text = "alerts: [{to: bell, channel: a}, {to: bell, channel: b}]\n" + tasks(B)
    (found,) = furnished.write(p_x=text).read().pipelines.values()
    assert [route.options for route in found.alerts] == [{"channel": "a"}, {"channel": "b"}]


def test_what_is_odd_but_usable_is_a_warning(furnished):
    after = "  b: {uses: mill.build, needs: [{task: a, complete: true}]}\n"
    furnished.write(p_x="sla: {finish_by: 07:30}\n" + tasks("  a: {uses: mill.build, freshness: attach}\n" + after))
    assert furnished.warnings() == [
        "pipelines/x.yaml:1:18: sla.finish_by: without a schedule nothing is ever due: there is no tick to count from",
        "pipelines/x.yaml:4:36: tasks.a.freshness: only means something for an extract, which mill.build is not",
        "pipelines/x.yaml:5:53: tasks.b.needs[0].complete: changes nothing: a never ends in part (it has no partial: true)",
    ]
