-- Numbers are compared in a plainer form than before (src/model/phone.rs): what shows nothing, more
-- kinds of dashes, dots and bullets, and a national (0) do not count. Where the plainer form of a
-- number is taken by another contact, both stay as they are.
WITH plain AS (
    SELECT company_id, id, phone_key,
           regexp_replace(
               regexp_replace(lower(normalize(phone_number, NFKC)),
                              '[[:space:]\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]|^''|^tel:', '', 'g'),
               '[-./\\(){}\u00b7\u2010-\u2015\u2022\u2027\u2043\u2044\u2212\u2215\u2219\u30fb]|\[|\]', '', 'g') AS bare,
           lower(normalize(phone_number, NFKC)) ~ '^\s*(\+|00)[0-9][^(]*\(\s*0\s*\)' AS national
    FROM contacts
), keyed AS (
    SELECT company_id, id, phone_key,
           regexp_replace(CASE WHEN national THEN regexp_replace(bare, '^(\+|00)([0-9]{1,3}?)0', '\1\2') ELSE bare END,
                          '^00', '+') AS plain_key
    FROM plain
), unique_ones AS (
    SELECT company_id, min(id::text)::uuid AS id, plain_key FROM keyed
    WHERE plain_key ~ '^\+?[0-9]{3,20}$' GROUP BY company_id, plain_key HAVING count(*) = 1
)
UPDATE contacts c SET phone_key = u.plain_key
FROM unique_ones u
WHERE c.company_id = u.company_id AND c.id = u.id AND c.phone_key <> u.plain_key
  AND NOT EXISTS (SELECT FROM contacts t WHERE t.company_id = c.company_id AND t.phone_key = u.plain_key);
