{{ config(severity='warn') }}
select id, amount from {{ ref('orders') }} where amount > 25
