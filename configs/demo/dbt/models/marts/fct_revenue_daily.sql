select
    ordered_at::date as day,
    currency,
    count(*) as orders,
    sum(paid_cents)::bigint as revenue_cents
from {{ ref('fct_orders') }}
where status <> 'returned'
group by all
