// The API as the server's OpenAPI document describes it: no library, nothing from elsewhere.

const $ = (id) => document.getElementById(id);

function make(name, text = "", ...children) {
  const made = document.createElement(name);
  made.textContent = text;
  made.append(...children);
  return made;
}

let schemas = {};
const resolve = (schema) => (schema?.$ref ? schemas[schema.$ref.split("/").pop()] : schema);

function typeName(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf) return schema.anyOf.map(typeName).join(" or ");
  if (schema.type === "array") return `list of ${typeName(schema.items ?? {})}`;
  if (schema.enum) return schema.enum.map((one) => JSON.stringify(one)).join(", ");
  if (schema.type === "object" && schema.additionalProperties?.type) return `object of ${schema.additionalProperties.type}`;
  return schema.type ?? "any";
}

function limits(schema) {
  const parts = [];
  if (schema.minimum !== undefined || schema.maximum !== undefined) parts.push(`${schema.minimum ?? "…"} to ${schema.maximum ?? "…"}`);
  if (schema.maxLength !== undefined) parts.push(`at most ${schema.maxLength.toLocaleString("en")} characters`);
  if (schema.maxItems !== undefined) parts.push(`at most ${schema.maxItems.toLocaleString("en")}`);
  if (schema.default !== undefined && schema.default !== null) parts.push(`default ${JSON.stringify(schema.default)}`);
  return parts.join(", ");
}

// A table of a schema's fields, and after it those of the schemas in its lists.
function fields(schema, title) {
  const whole = resolve(schema);
  if (!whole?.properties) return [];
  const body = make("tbody");
  const inner = [];
  for (const [name, field] of Object.entries(whole.properties)) {
    const what = [field.description, limits(field), whole.required?.includes(name) ? "" : "may be left out"].filter(Boolean);
    body.append(make("tr", "", make("td", "", make("code", name)), make("td", typeName(field)), make("td", what.join("; "))));
    const item = field.items?.$ref ? field.items : null;
    if (item) inner.push(...fields(item, typeName(item)));
  }
  return [make("h4", title), make("div", "", make("table", "", body)), ...inner];
}

function operation(path, method, found) {
  const card = make("section", "", make("h3", "", make("code", `${method.toUpperCase()} ${path}`)), make("p", found.description ?? ""));
  card.className = "card";
  const asked = found.requestBody?.content?.["application/json"]?.schema;
  const answered = found.responses?.["200"]?.content?.["application/json"]?.schema;
  for (const one of found.parameters ?? []) {
    card.append(make("p", `${one.name}: ${typeName(one.schema)} ${limits(one.schema)}`));
  }
  if (asked) card.append(...fields(asked, "question"));
  if (answered) card.append(...fields(answered, "answer"));
  for (const table of card.querySelectorAll("div")) table.className = "scroll";
  return card;
}

try {
  const [document_, info] = await Promise.all(["/openapi.json", "/api/info"].map(async (path) => (await fetch(path)).json()));
  schemas = document_.components?.schemas ?? {};
  for (const [path, methods] of Object.entries(document_.paths)) {
    for (const [method, found] of Object.entries(methods)) $("operations").append(operation(path, method, found));
  }
  $("to-dashboard").hidden = !info.run;
} catch (error) {
  $("error").textContent = `The server does not answer: ${error.message}`;
}
