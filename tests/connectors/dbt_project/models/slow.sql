-- Waits for somebody to open the gate, then counts for hours: for whoever wants to interrupt it.
{{ config(materialized='table', enabled=var('slow', false)) }}
select count(*) as n
from range(400000) a, range(400000) b, read_csv('{{ env_var("SHOP_GATE", "") }}', auto_detect=false, columns={'c': 'int'}) c
where a.range * b.range % 7 = c.c
