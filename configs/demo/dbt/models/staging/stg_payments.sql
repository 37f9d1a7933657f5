select
    payment_id,
    order_id,
    method,
    status,
    amount_cents,
    currency,
    paid_at::timestamp as paid_at,
    _airbyte_extracted_at::timestamp as synced_at
from {{ source('stripe', 'payments') }}
