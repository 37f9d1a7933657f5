select
    customers.customer_id,
    customers.name,
    customers.country,
    customers.signed_up_at,
    count(orders.order_id) as orders,
    max(orders.ordered_at) as last_ordered_at
from {{ ref('stg_customers') }} as customers
left join {{ ref('stg_orders') }} as orders on orders.customer_id = customers.customer_id
group by all
