-- The stages that a company's deals were ever in, numbered in the order in which they were first used:
-- deals move on, so their own times do not tell that order. The server remembers at most 1,000 stages of
-- a company (src/resources/deals/store.rs); stages are free text.
CREATE TABLE deal_stages (
    company_id  uuid NOT NULL REFERENCES companies (id) ON DELETE CASCADE,
    stage       text NOT NULL,
    number      bigint NOT NULL,
    PRIMARY KEY (company_id, stage)
);
CREATE SEQUENCE deal_stages_number OWNED BY deal_stages.number;

-- Of deals of before, the oldest that is in a stage now says when the stage was first used.
INSERT INTO deal_stages (company_id, stage, number)
SELECT company_id, stage, nextval('deal_stages_number')
FROM (
    SELECT company_id, stage, row_number() OVER (PARTITION BY company_id ORDER BY min(created_at), stage) AS place
    FROM deals GROUP BY company_id, stage ORDER BY company_id, place
) AS used
WHERE place <= 1000;
