{{ config(enabled=var('strict', false)) }}
select id, amount from {{ ref('orders') }} where amount < 25
