"""The OpenAPI document: well-formed, complete, and true: what it says of a resource is what the server does."""
import re

import pytest
from lab import until
from lab.rest import Api

RESOURCES = ["tenants", "domains", "carriers", "carrier_trunks", "ipbxs", "dids", "normalization-profiles", "normalization-rules",
	"routing-rules", "routing-groups"]
TENANT = "3ab844af-8039-45d9-a3aa-bae6f298228f"
TYPES = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "number": (int, float)}


@pytest.fixture
def api(make_c4d):
	c = make_c4d({"routing": {"api": True}}).start()
	api = Api((c.http_ip, c.http_port))
	until(api.up, 10, "REST answers")
	return api


@pytest.fixture
def doc(api):
	return api.get("/api/v1/openapi.json").ok()


def nodes(value, path=""):
	yield path, value
	for key, v in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
		yield from nodes(v, f"{path}/{key}")


def check_schema(path, s):
	"""As OpenAPI 3.0 has it."""
	if "$ref" in s:
		assert set(s) == {"$ref"}, path
		return
	assert set(s) <= {"type", "format", "description", "nullable", "minimum", "maximum", "maxLength", "items", "default", "properties", "required",
		"additionalProperties"}, (path, s)
	assert not s or s["type"] in TYPES, path  # nothing at all: anything
	assert s.get("type") != "array" or "items" in s, path
	assert set(s.get("required", [])) <= set(s.get("properties", {})), path
	if "default" in s:
		assert isinstance(s["default"], TYPES[s["type"]]), path
	for key, v in s.get("properties", {}).items():
		check_schema(f"{path}/{key}", v)
	if "items" in s:
		check_schema(f"{path}/items", s["items"])


def test_structure(doc):
	assert re.fullmatch(r"3\.0\.\d", doc["openapi"])
	assert set(doc) == {"openapi", "info", "paths", "components"}
	assert doc["info"]["title"] == "c4d" and doc["info"]["version"]
	for path, value in nodes(doc):
		if path.endswith("/$ref"):
			kind, name = re.fullmatch(r"#/components/(\w+)/(\w+)", value).groups()
			assert name in doc["components"][kind], path
		if path.endswith("/schema"):
			check_schema(path, value)
	for name, schema in doc["components"]["schemas"].items():
		assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
		check_schema(name, schema)
	ids = []
	for path, item in doc["paths"].items():
		assert path.startswith("/") and set(item) <= {"get", "post", "put", "delete"}
		for method, op in item.items():
			ids.append(op["operationId"])
			assert op["summary"] and op["tags"] and op["responses"]
			assert all(re.fullmatch(r"[2-5]\d\d", s) and r["description"] for s, r in op["responses"].items())
			assert ("requestBody" in op) == (method in ("post", "put"))
			named = [p["name"] for p in op.get("parameters", []) if p["in"] == "path"]
			assert named == re.findall(r"{(\w+)}", path)
			assert all(p["required"] for p in op.get("parameters", []) if p["in"] == "path")
			for need in op.get("security", []):
				assert set(need) <= set(doc["components"]["securitySchemes"])
	assert len(ids) == len(set(ids))


def test_every_resource_is_there(doc):
	for name in RESOURCES:
		assert set(doc["paths"][f"/1.0/{name}"]) == {"get", "post"}
		assert set(doc["paths"][f"/1.0/{name}/{{id}}"]) == {"get", "put", "delete"}
	assert set(doc["paths"]["/1.0/cdrs"]) == {"get", "post"} and set(doc["paths"]["/1.0/cdrs/{id}"]) == {"get"}
	for path, method in ("/1.0/kamailio/routing", "post"), ("/kamailio/rtjson", "post"), ("/1.0/kamailio/auth", "post"), \
			("/1.0/kamailio/cdr", "post"), ("/1.0/kamailio/dbtext/uacreg", "get"), ("/status", "get"), ("/health", "get"):
		assert set(doc["paths"][path]) == {method}


def test_secrets_are_only_taken(doc):
	schemas = doc["components"]["schemas"]
	for name, secret in ("CarrierTrunk", "auth_password"), ("IPBX", "password"), ("IPBX", "password_ha1"):
		assert secret not in schemas[name]["properties"]
		assert secret in schemas[name + "Create"]["properties"] and secret in schemas[name + "Update"]["properties"]
	assert "did_prefix" in schemas["DID"]["properties"] and "did_prefix" not in schemas["DIDCreate"]["properties"]


def sample(name, schema):
	"""A value that fits the schema."""
	known = {"tenant_uuid": TENANT, "uuid": TENANT, "did_regex": "^39", "match_regex": "^0", "rule_type": 1, "domain": "d.example",
		"ip_fqdn": "192.0.2.1", "sip_proxy": "192.0.2.1"}
	return known.get(name, 1 if schema["type"] == "integer" else "x")


def matches(value, schema):
	if value is None:
		return schema.get("nullable", False)
	return isinstance(value, TYPES[schema["type"]]) and (schema["type"] == "boolean") == isinstance(value, bool)


def test_it_is_true(api, doc):
	"""A POST of what is required, and nothing else, is taken; its answer has all columns, and they are as described."""
	schemas = doc["components"]["schemas"]
	order = ["tenants", "domains", "carriers", "normalization-profiles", "normalization-rules", "carrier_trunks", "ipbxs", "dids", "routing-rules",
		"routing-groups", "cdrs"]
	for path in order:
		op = doc["paths"][f"/1.0/{path}"]["post"]
		new = schemas[op["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]]
		row = schemas[op["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1]]
		required = new.get("required", [])
		body = {key: sample(key, new["properties"][key]) for key in required}
		for key in required:
			r = api.post(path, {k: v for k, v in body.items() if k != key})
			assert r.status == 422 and [d["loc"] for d in r.detail] == [["body", key]], (path, key, r)
		got = api.ask("POST", path, body).ok()
		assert set(got) == set(row["properties"]) == set(row["required"]), path
		for key, value in got.items():
			assert matches(value, row["properties"][key]), (path, key, value)
			if "default" in new["properties"].get(key, {}):
				assert value == new["properties"][key]["default"], (path, key)
		assert api.items(path) == [got]


def test_without_rest(make_c4d):
	"""It says what is there."""
	c = make_c4d({}).start()
	doc = Api((c.http_ip, c.http_port)).get("/api/v1/openapi.json").ok()
	assert "/1.0/tenants" not in doc["paths"] and "/1.0/kamailio/routing" in doc["paths"]
	assert "securitySchemes" not in doc["components"]
