// The document of the admin API, as far as the reference shows it.

export interface Schema {
  $ref?: string;
  type?: string | string[];
  description?: string;
  format?: string;
  pattern?: string;
  enum?: unknown[];
  const?: unknown;
  minimum?: number;
  maximum?: number;
  minLength?: number;
  maxLength?: number;
  maxItems?: number;
  maxProperties?: number;
  properties?: Record<string, Schema>;
  required?: string[];
  items?: Schema;
  additionalProperties?: Schema | boolean;
  anyOf?: Schema[];
  allOf?: Schema[];
}

export interface Content {
  schema: Schema;
  example?: unknown;
}

export interface Parameter {
  name: string;
  in: "path" | "query" | "header";
  required: boolean;
  description: string;
  schema: Schema;
  example?: unknown;
}

export interface Operation {
  operationId: string;
  tags: string[];
  summary: string;
  description: string;
  security: Record<string, unknown>[];
  parameters: Parameter[];
  requestBody?: { required: boolean; content: Record<string, Content> };
  responses: Record<string, { description: string; headers?: Record<string, unknown>; content: Record<string, Content> }>;
}

export interface Document {
  openapi: string;
  info: { title: string; version: string; description: string };
  tags: { name: string; description: string }[];
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Schema> };
}

/** One call, by what names it. */
export interface Call {
  method: string;
  path: string;
  of: Operation;
}

/** Every call, in the order of the document. */
export function callsOf(document: Document): Call[] {
  return Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, of]) => ({ method: method.toUpperCase(), path, of })),
  );
}

/** One field of a body or an answer. */
export interface Row {
  name: string;
  form: string;
  isRequired: boolean;
  text: string;
}

/** What a schema says at the top: itself, or what it refers to. */
function resolved(document: Document, schema: Schema): Schema {
  const name = schema.$ref?.split("/").pop();
  if (name !== undefined) {
    const { $ref: _, ...said } = schema;
    return { ...resolved(document, document.components.schemas[name] ?? {}), ...said };
  }
  // `null`, or something: it is the something that has fields.
  const something = schema.anyOf?.filter((one) => one.type !== "null");
  if (something?.length === 1 && something[0]) {
    const { anyOf: _, ...said } = schema;
    const inner = resolved(document, something[0]);
    return { ...inner, ...said, type: [inner.type ?? [], "null"].flat() };
  }
  return schema;
}

/** Every field of a schema, nested ones below the name of what they are in. */
export function rowsOf(document: Document, schema: Schema, under = "", depth = 0): Row[] {
  const whole = resolved(document, schema);
  if (whole.type === "array" && whole.items && under === "") {
    return rowsOf(document, whole.items, "[]", depth);
  }
  return Object.entries(whole.properties ?? {}).flatMap(([field, one]) => {
    const said = resolved(document, one);
    const isList = [said.type].flat().includes("array");
    const name = `${under === "" ? "" : `${under}.`}${field}${isList ? "[]" : ""}`;
    const row = { name, form: formOf(document, one), isRequired: whole.required?.includes(field) ?? false, text: said.description ?? "" };
    const inner = isList ? said.items : said;
    const below = inner && depth < DEPTH ? rowsOf(document, inner, name, depth + 1) : [];
    return [row, ...below];
  });
}

/** How deep fields are told of: a key in a page of keys, and what is in that. */
const DEPTH = 3;

/** What a value must look like, in a few words. */
export function formOf(document: Document, schema: Schema): string {
  const said = resolved(document, schema);
  if (said.const !== undefined) return quoted(said.const);
  if (said.enum) return said.enum.map(quoted).join(", ");
  if (said.anyOf) return said.anyOf.map((one) => formOf(document, one)).join(" or ");
  const types = [said.type ?? "any"].flat();
  const kind = types.filter((type) => type !== "null").map((type) => typeOf(document, said, type));
  return `${kind.join(" or ")}${types.includes("null") ? " or null" : ""}`;
}

function typeOf(document: Document, said: Schema, type: string): string {
  switch (type) {
    case "string":
      if (said.format === "date-time") return "time";
      if (said.format === "date") return "day";
      return said.pattern && said.pattern.length <= 48 ? `text like ${said.pattern}` : `text${length(said)}`;
    case "integer":
    case "number":
      return `number${range(said)}`;
    case "boolean":
      return "true or false";
    case "array":
      return `list${said.maxItems === undefined ? "" : ` of at most ${said.maxItems}`}${said.items ? `: ${formOf(document, said.items)}` : ""}`;
    case "object":
      return "object";
    default:
      return "anything";
  }
}

function length({ minLength, maxLength }: Schema): string {
  if (maxLength === undefined) return "";
  return minLength === undefined ? `, at most ${maxLength} characters` : `, ${minLength} to ${maxLength} characters`;
}

function range({ minimum, maximum }: Schema): string {
  if (maximum !== undefined) return `, ${minimum ?? 0} to ${maximum}`;
  return minimum === undefined || minimum === 0 ? "" : `, at least ${minimum}`;
}

const quoted = (value: unknown) => (typeof value === "string" ? `"${value}"` : String(value));

/** An example as people read it. */
export function shown(example: unknown): string {
  return typeof example === "string" ? example : JSON.stringify(example, null, 2);
}

/** A line for a shell that makes the call. The token is read from the environment, never written. */
export function curl(call: Call, origin: string): string {
  const { parameters, requestBody, security } = call.of;
  const path = parameters
    .filter((one) => one.in === "path")
    .reduce((at, one) => at.replace(`{${one.name}}`, encodeURIComponent(String(one.example ?? one.name))), call.path);
  const lines = [`curl -s${call.method === "GET" ? "" : ` -X ${call.method}`} '${origin}${path}'`];
  if (security.some((way) => "token" in way)) {
    lines.push('-H "Authorization: Bearer $PORTCULLIS_ADMIN_TOKEN"');
  }
  for (const [media, { example }] of Object.entries(requestBody?.content ?? {})) {
    const body = typeof example === "string" ? example.trimEnd() : JSON.stringify(example);
    lines.push(`-H 'Content-Type: ${media}'`, `--data-binary '${body.replaceAll("'", `'\\''`)}'`);
  }
  return lines.join(" \\\n  ");
}
