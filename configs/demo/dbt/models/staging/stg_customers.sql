select
    customer_id,
    name,
    email,
    country,
    signed_up_at::timestamp as signed_up_at,
    _fivetran_synced::timestamp as synced_at
from {{ source('shop_crm', 'customers') }}
