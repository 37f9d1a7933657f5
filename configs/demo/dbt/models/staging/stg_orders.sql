select
    order_id,
    customer_id,
    status,
    amount_cents,
    currency,
    ordered_at::timestamp as ordered_at,
    _fivetran_synced::timestamp as synced_at
from {{ source('shop_orders', 'orders') }}
