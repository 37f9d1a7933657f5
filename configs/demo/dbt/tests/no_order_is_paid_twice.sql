select order_id, amount_cents, paid_cents
from {{ ref('fct_orders') }}
where paid_cents > amount_cents
