-- AIaaS: models served to tenants. About 60 MB; requests are partitioned by month, tenants separated by row-level security.
CREATE TABLE tenants (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    allowed_networks cidr[] NOT NULL,
    settings jsonb NOT NULL,
    contract daterange NOT NULL
);
INSERT INTO tenants (name, allowed_networks, settings, contract)
SELECT format('Tenant %s GmbH & Co. "KG"', i), ARRAY[format('10.%s.%s.0/24', i % 256, i / 256)::cidr],
       jsonb_build_object('region', 'eu-' || i % 3, 'limits', jsonb_build_object('rps', i % 100)), daterange(current_date - i, current_date + 400 - i % 90)
FROM generate_series(1, 400) i;

CREATE TABLE api_keys (
    id uuid PRIMARY KEY,
    tenant_id int NOT NULL REFERENCES tenants,
    hash bytea NOT NULL UNIQUE,
    scopes varchar(20)[] NOT NULL,
    expires_at timestamp
);
INSERT INTO api_keys
SELECT md5('key' || i)::uuid, 1 + i % 400, sha256(convert_to('key' || i, 'UTF8')), '{infer,list}', CASE WHEN i % 2 = 0 THEN localtimestamp + i * interval '1 hour' END
FROM generate_series(1, 3000) i;
ALTER TABLE api_keys ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_tenant ON api_keys USING (tenant_id = current_setting('aiaas.tenant', true)::int);

CREATE TABLE models (
    id int PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    weights_sha256 text NOT NULL,
    card json NOT NULL,
    UNIQUE (name, version)
);
INSERT INTO models SELECT i, 'model-' || i % 12, format('v%s', i / 12), md5(i::text) || md5((-i)::text), json_build_object('licence', 'apache-2.0', 'params_m', i * 7)
FROM generate_series(1, 120) i;

CREATE TABLE inference_requests (
    id bigint GENERATED ALWAYS AS IDENTITY,
    tenant_id int NOT NULL REFERENCES tenants,
    model_id int NOT NULL REFERENCES models,
    client inet NOT NULL,
    input_tokens int NOT NULL,
    output_tokens int NOT NULL,
    total_tokens int GENERATED ALWAYS AS (input_tokens + output_tokens) STORED,
    latency double precision NOT NULL,
    trace bit varying(64),
    requested_at timestamptz NOT NULL,
    PRIMARY KEY (id, requested_at)
) PARTITION BY RANGE (requested_at);
DO $$
DECLARE month timestamptz := date_trunc('month', now(), 'UTC');
BEGIN
    FOR back IN 0..5 LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF inference_requests FOR VALUES FROM (%L) TO (%L)',
            'inference_requests_' || to_char(month - back * interval '1 month', 'YYYY_MM'),
            month - back * interval '1 month', month - (back - 1) * interval '1 month');
    END LOOP;
END $$;
CREATE TABLE inference_requests_rest PARTITION OF inference_requests DEFAULT;
INSERT INTO inference_requests (tenant_id, model_id, client, input_tokens, output_tokens, latency, trace, requested_at)
SELECT 1 + floor(random() * 400)::int, 1 + floor(random() * 120)::int, '10.0.0.0'::inet + i % 65536, i % 4000, i % 900,
       random() * 3, (i::bit(32))::bit varying, now() - random() * interval '150 days'
FROM generate_series(1, 360000) i;
CREATE INDEX ON inference_requests (tenant_id, requested_at);

CREATE TABLE invoices (
    number text PRIMARY KEY,
    tenant_id int NOT NULL REFERENCES tenants,
    period int4range NOT NULL,
    net numeric NOT NULL,
    amount money NOT NULL,
    lines jsonb NOT NULL
);
INSERT INTO invoices
SELECT format('INV/%s/%s', 2020 + i % 6, i), 1 + i % 400, int4range(i, i + 30), i * 1.50000, (i * 1.19)::numeric::money,
       jsonb_build_array(jsonb_build_object('item', 'tokens', 'n', i), jsonb_build_object('item', t, 'n', 1))
FROM generate_series(1, 8000) i JOIN phrase p ON p.number = 1 + i % 4000;
COMMENT ON TABLE invoices IS 'Kept ten years; "never" edited.';
