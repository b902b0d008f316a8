// Values of contracts to their one byte form, by the JSON Schemas in docs/contracts alone.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

export class Refused extends Error {
  constructor(reason) {
    super(reason);
    this.reason = reason;
  }
}

export const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");

// As the contracts write numbers of type `number`: always with a point or an exponent.
function floatText(number) {
  if (Object.is(number, -0)) return "-0.0";
  const size = Math.abs(number);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [digits, exponent] = number.toExponential().split("e");
    return `${digits}e${exponent[0]}${exponent.slice(1).padStart(2, "0")}`;
  }
  const text = String(number);
  return text.includes(".") ? text : `${text}.0`;
}

const MOMENT = /^(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,6}))?(Z|[+-]\d\d:\d\d)$/;

export function momentText(text) {
  const found = MOMENT.exec(text);
  if (!found) throw new Refused("contract");
  const seconds = Date.parse(`${text.slice(0, 19)}${found[8]}`);
  if (Number.isNaN(seconds)) throw new Refused("contract");
  const fraction = Number((found[7] ?? "").padEnd(6, "0")) ? `.${found[7].padEnd(6, "0")}` : "";
  return `${new Date(seconds).toISOString().slice(0, 19)}${fraction}Z`;
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

function require(isTrue) {
  if (!isTrue) throw new Refused("contract");
}

function stringText(schema, value) {
  require(typeof value === "string");
  const length = [...value].length;
  require(length >= (schema.minLength ?? 0) && length <= (schema.maxLength ?? Infinity));
  require(!schema.pattern || new RegExp(schema.pattern, "u").test(value));
  require(schema.format !== "uuid" || UUID.test(value));
  if (schema.format === "uuid") return value.toLowerCase();
  return schema.format === "date-time" ? momentText(value) : value;
}

function numberText(schema, value) {
  require(typeof value === "number" && Number.isFinite(value));
  require(value >= (schema.minimum ?? -Infinity) && value <= (schema.maximum ?? Infinity));
  require(value > (schema.exclusiveMinimum ?? -Infinity) && value < (schema.exclusiveMaximum ?? Infinity));
  if (schema.type === "number") return floatText(value);
  require(Number.isSafeInteger(value));
  return String(value);
}

function objectText(schema, value, all) {
  require(value !== null && typeof value === "object" && !Array.isArray(value));
  const properties = schema.properties ?? {};
  require(schema.additionalProperties !== false || Object.keys(value).every((name) => name in properties));
  require((schema.required ?? []).every((name) => name in value));
  const written = Object.keys(properties)
    .filter((name) => name in value || "default" in properties[name])
    .sort()
    .map((name) => {
      const given = name in value ? value[name] : properties[name].default;
      return `${JSON.stringify(name)}:${textOf(properties[name], given, all)}`;
    });
  return `{${written.join(",")}}`;
}

function textOf(schema, value, all) {
  if (schema.$ref) return textOf(all[schema.$ref.split("/").pop()], value, all);
  if (schema.anyOf) {
    for (const one of schema.anyOf) {
      try {
        return textOf(one, value, all);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
      }
    }
    throw new Refused("contract");
  }
  require(!("const" in schema) || value === schema.const);
  require(!schema.enum || schema.enum.includes(value));
  switch (schema.type) {
    case "object":
      return objectText(schema, value, all);
    case "array":
      require(Array.isArray(value));
      require(value.length >= (schema.minItems ?? 0) && value.length <= (schema.maxItems ?? Infinity));
      return `[${value.map((item) => textOf(schema.items ?? {}, item, all)).join(",")}]`;
    case "string":
      return JSON.stringify(stringText(schema, value));
    case "number":
    case "integer":
      return numberText(schema, value);
    case "boolean":
      require(typeof value === "boolean");
      return String(value);
    case "null":
      require(value === null);
      return "null";
    default:
      return JSON.stringify(value);
  }
}

const read = new Map();

export function canonicalBytes(contract, value) {
  if (!read.has(contract)) {
    const path = new URL(`../../../docs/contracts/${contract}.schema.json`, import.meta.url);
    read.set(contract, JSON.parse(readFileSync(path, "utf8")));
  }
  const schema = read.get(contract);
  return Buffer.from(textOf(schema, value, schema.$defs ?? {}));
}

// Of JSON without fractions: keys sorted, no spaces.
export function plainCanonical(value) {
  if (Array.isArray(value)) return `[${value.map(plainCanonical).join(",")}]`;
  if (value === null || typeof value !== "object") return JSON.stringify(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${plainCanonical(value[key])}`).join(",")}}`;
}

export const topics = {
  "canonical/contracts": ({ contract, value }) => {
    const bytes = canonicalBytes(contract, value);
    return { bytes: bytes.toString(), sha256: sha256(bytes) };
  },
};
