-- Payments arrive after their orders, so each build looks again at every order that either has touched since.
{{ config(materialized='incremental', unique_key='order_id', incremental_strategy='delete+insert') }}

with payments as (

    select
        order_id,
        sum(amount_cents) filter (where status = 'succeeded') as paid_cents,
        max(synced_at) as synced_at
    from {{ ref('stg_payments') }}
    group by order_id

)

select
    orders.order_id,
    orders.customer_id,
    orders.status,
    orders.currency,
    orders.amount_cents,
    coalesce(payments.paid_cents, 0)::bigint as paid_cents,
    orders.ordered_at,
    greatest(orders.synced_at, payments.synced_at) as synced_at
from {{ ref('stg_orders') }} as orders
left join payments on payments.order_id = orders.order_id
{% if is_incremental() %}
where greatest(orders.synced_at, payments.synced_at) >= (select max(synced_at) from {{ this }})
{% endif %}
