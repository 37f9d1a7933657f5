-- Rings, then counts for hours: for whoever wants to interrupt it.
{{ config(
    materialized='table',
    enabled=var('slow', false),
    pre_hook="copy (select 'counting') to '" ~ env_var('SHOP_BELL', '') ~ "' (header false, use_tmp_file false)"
) }}
select count(*) as n from range(400000) a, range(400000) b where a.range * b.range % 7 = 3
