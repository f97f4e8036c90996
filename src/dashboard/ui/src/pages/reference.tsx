// The admin API, call by call, as the gate itself describes it at /openapi.json.

import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";

import { call as ask } from "../api";
import { SearchBox } from "../parts/fields";
import { Loaded } from "../parts/list";
import { plural } from "../parts/numbers";
import { type Call, callsOf, curl, type Content, type Document, formOf, rowsOf, shown } from "../parts/openapi";
import { Badge, CopyButton, Empty, PageHead, Panel, Table, type Tone } from "../parts/ui";

export function Reference() {
  const document = useQuery({
    queryKey: ["openapi"],
    queryFn: ({ signal }) => ask<Document>("/openapi.json", { signal }),
    staleTime: Infinity,
  });
  return (
    <>
      <PageHead title="API reference" sub="Whatever this dashboard does, a program can do by these calls.">
        <a className="button plain" href="/openapi.json" download="portcullis-openapi.json">
          OpenAPI document
        </a>
      </PageHead>
      <Loaded of={document} rows={8}>
        {(found) => <Calls of={found} />}
      </Loaded>
    </>
  );
}

function Calls({ of: document }: { of: Document }) {
  const [wanted, setWanted] = useState("");
  const calls = useMemo(() => callsOf(document), [document]);
  const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
  const found = calls.filter(({ method, path, of }) => {
    const said = `${method} ${path} ${of.summary} ${of.tags.join(" ")} ${of.operationId}`.toLowerCase();
    return words.every((word) => said.includes(word));
  });
  return (
    <>
      <div className="toolbar">
        <div className="filters">
          <SearchBox label="Search calls" value={wanted} onChange={setWanted} />
        </div>
        <span className="muted" role="status">
          {plural(found.length, "call")}, version {document.info.version}
        </span>
      </div>
      <div className="prose">
        {document.info.description.split("\n\n").map((text) => (
          <p key={text}>
            <Said text={text} />
          </p>
        ))}
      </div>
      {found.length === 0 && <Empty title="No call is like that." />}
      {document.tags.map((tag) => {
        const tagged = found.filter((one) => one.of.tags.includes(tag.name));
        return (
          tagged.length > 0 && (
            <Panel key={tag.name} title={tag.name} className="calls">
              <p className="hint">{tag.description}</p>
              {tagged.map((one) => (
                <OneCall key={one.of.operationId} document={document} of={one} />
              ))}
            </Panel>
          )
        );
      })}
    </>
  );
}

const TONES: Record<string, Tone> = { GET: "good", POST: "accent", PATCH: "warn", DELETE: "bad" };

/** A call; what there is to say of it is made when it is opened. */
function OneCall({ document, of: call }: { document: Document; of: Call }) {
  const id = call.of.operationId;
  const ref = useRef<HTMLDetailsElement>(null);
  const [isOpen, setOpen] = useState(false);
  useEffect(() => {
    // A link to one call leads to it, open.
    if (window.location.hash === `#${id}`) {
      setOpen(true);
      ref.current?.scrollIntoView();
    }
  }, [id]);
  return (
    <details className="call" id={id} ref={ref} open={isOpen} onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <Badge tone={TONES[call.method] ?? "calm"}>{call.method}</Badge>
        <code>{call.path}</code>
        <span>{call.of.summary}</span>
      </summary>
      {isOpen && <Told document={document} of={call} />}
    </details>
  );
}

function Told({ document, of: call }: { document: Document; of: Call }) {
  const { description, parameters, requestBody, responses } = call.of;
  const line = curl(call, window.location.origin);
  return (
    <div className="call-body">
      {description.split("\n\n").map((text) => (
        <p key={text}>
          <Said text={text} />
        </p>
      ))}
      <div className="snippet-head">
        <h3>In a shell</h3>
        <CopyButton text={line} />
      </div>
      <Code text={line} label={`${call.of.summary}, in a shell`} />
      {parameters.length > 0 && (
        <>
          <h3>Parameters</h3>
          <Table label={`Parameters of ${call.method} ${call.path}`} columns={["Name", "In", "Form", "What"]}>
            {parameters.map((one) => (
              <tr key={one.in + one.name}>
                <td>
                  <code>{one.name}</code>
                </td>
                <td className="muted">{one.in}</td>
                <td className="form-cell">{formOf(document, one.schema)}</td>
                <td>
                  <Said text={one.description} />
                </td>
              </tr>
            ))}
          </Table>
        </>
      )}
      {requestBody &&
        Object.entries(requestBody.content).map(([media, content]) => (
          <section key={media}>
            <h3>Body{requestBody.required ? "" : ", which may be left out"}</h3>
            <Sent document={document} media={media} of={content} what={`Body of ${call.method} ${call.path}`} asked />
          </section>
        ))}
      <h3>Answers</h3>
      {Object.entries(responses).map(([status, answer]) => (
        <section key={status} className="answer">
          <p>
            <Badge tone={status.startsWith("2") ? "good" : status.startsWith("4") ? "warn" : "bad"}>{status}</Badge>{" "}
            <Said text={answer.description} />
          </p>
          {status.startsWith("2") &&
            Object.entries(answer.content).map(([media, content]) => (
              <Sent
                key={media}
                document={document}
                media={media}
                of={content}
                what={`Answer ${status} of ${call.method} ${call.path}`}
              />
            ))}
        </section>
      ))}
    </div>
  );
}

/** What goes one way: an example, and what its fields are. */
function Sent({
  document,
  media,
  of: content,
  what,
  asked = false,
}: {
  document: Document;
  media: string;
  of: Content;
  what: string;
  asked?: boolean;
}) {
  const rows = useMemo(() => rowsOf(document, content.schema), [document, content]);
  return (
    <>
      <p className="hint">
        <code>{media}</code>
      </p>
      <Code text={shown(content.example)} label={`${what}, ${media}: an example`} />
      {rows.length > 0 && (
        <details>
          <summary>{plural(rows.length, "field")}</summary>
          <Table label={`${what}: its fields`} columns={["Field", "Form", "What"]}>
            {rows.map((row) => (
              <tr key={row.name}>
                <td>
                  <code>{row.name}</code>
                  {asked && row.isRequired && <span className="muted"> mandatory</span>}
                </td>
                <td className="form-cell">{row.form}</td>
                <td>
                  <Said text={row.text} />
                </td>
              </tr>
            ))}
          </Table>
        </details>
      )}
    </>
  );
}

/** A text that scrolls sideways in itself. */
function Code({ text, label }: { text: string; label: string }) {
  return (
    <pre className="code" role="region" aria-label={label} tabIndex={0}>
      {text}
    </pre>
  );
}

/** A sentence, with what stands between back-ticks as code. */
function Said({ text }: { text: string }) {
  return (
    <>
      {text.split("`").map((part, at) => (at % 2 === 1 ? <code key={at}>{part}</code> : part))}
    </>
  );
}
