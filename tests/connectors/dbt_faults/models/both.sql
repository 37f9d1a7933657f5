select a.id from {{ ref('after') }} a join {{ ref('below') }} b using (id)
