// What is made from the handlers' declarations for editors and tools: definitions for the Lua language server, and a JSON schema.

package engine

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

const metaOpening = "---@meta\n-- %s, for the Lua language server. Made from routes/*.lua by go test ./engine -run Handlers -update.\n"

// handlersMeta are definitions for the Lua language server.
func handlersMeta(all []handlerDoc) string {
	var b strings.Builder
	fmt.Fprintf(&b, metaOpening+"\n"+
		"---@alias tidepool.child string|userdata|function|table a pool, a pool's name or a route\n"+
		"---@alias tidepool.children string|table<integer|string, tidepool.child> a list, a table by zone, or the name of a set of pools\n",
		"The words of the route library")
	for _, h := range all {
		class := "tidepool." + h.Name
		b.WriteString(classMeta(class, h.Fields))
		if _, ok := h.wrapped(); ok {
			class += "|" + class + ".wrap"
		}
		fmt.Fprintf(&b, "\n---%s\n---@param fields %s\n---@return table\nfunction route_%s(fields) end\n", strings.ReplaceAll(h.Doc, "\n", " "), class, h.Name)
	}
	return b.String()
}

// wrapsMeta are those of the fields of handlers with child_wrap.
func wrapsMeta(all []handlerDoc) string {
	var b strings.Builder
	fmt.Fprintf(&b, metaOpening, "The fields of handlers that are put around each of a list of children")
	for _, h := range all {
		if fields, ok := h.wrapped(); ok {
			b.WriteString(classMeta("tidepool."+h.Name+".wrap", fields))
		}
	}
	return b.String()
}

// classMeta is a class of fields.
func classMeta(class string, fields []fieldDoc) string {
	types := map[string]string{"child": "tidepool.child", "children": "tidepool.children", "integer": "integer", "number": "number", "seconds": "number",
		"string": "string", "boolean": "boolean", "function": "function", "table": "table", "any": "any"}
	var b strings.Builder
	fmt.Fprintf(&b, "\n---@class %s\n", class)
	for _, f := range fields {
		kind := types[f.Type]
		if f.Type == "enum" {
			kind = `"` + strings.Join(f.Values, `"|"`) + `"`
		}
		optional := "?"
		if f.Required {
			optional = ""
		}
		fmt.Fprintf(&b, "---@field %s%s %s %s\n", f.Name, optional, kind, strings.ReplaceAll(f.Doc, "\n", " "))
	}
	return b.String()
}

// wrapped are h's fields where it is put around each of a list: child_wrap in place of child. False: it has no child.
func (h handlerDoc) wrapped() ([]fieldDoc, bool) {
	fields := slices.Clone(h.Fields)
	i := slices.IndexFunc(fields, func(f fieldDoc) bool { return f.Name == "child" && f.Type == "child" })
	if i < 0 {
		return nil, false
	}
	fields[i] = fieldDoc{Name: "child_wrap", Type: "children", Required: true, Doc: "the children that one each is put around, where a list is wanted"}
	return fields, true
}

// handlersSchema is a JSON schema of each handler's fields, for tools that write configurations.
func handlersSchema(t *testing.T, all []handlerDoc) string {
	defs := map[string]any{}
	var words, wraps []map[string]any // a word as the one member of an object, and where it has child_wrap
	member := func(word, def string) map[string]any {
		return map[string]any{"type": "object", "properties": map[string]any{word: map[string]any{"$ref": "#/$defs/" + def}},
			"required": []string{word}, "additionalProperties": false}
	}
	for _, h := range all {
		word := "route_" + h.Name
		defs[word] = fieldsSchema(h.Doc, h.Fields)
		words = append(words, member(word, word))
		if wrap, ok := h.wrapped(); ok {
			defs[word+"_wrap"] = fieldsSchema(h.Doc, wrap)
			wraps = append(wraps, member(word, word+"_wrap"))
		}
	}
	defs["child"] = map[string]any{"description": "a pool's name, or a route: an object whose one member is its word",
		"anyOf": append([]map[string]any{{"type": "string"}}, words...)}
	defs["children"] = map[string]any{"description": "a list, an object by zone, the name of a set of pools, or a route with child_wrap, which is as many",
		"anyOf": append([]map[string]any{{"type": "string"}, {"type": "array", "items": map[string]any{"$ref": "#/$defs/child"}},
			{"type": "object", "additionalProperties": map[string]any{"$ref": "#/$defs/child"}}}, wraps...)}
	text, err := json.MarshalIndent(map[string]any{"$schema": "https://json-schema.org/draft/2020-12/schema",
		"title": "The fields of Tidepool's route handlers", "$ref": "#/$defs/child", "$defs": defs}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return string(text) + "\n"
}

// fieldsSchema is that of a handler's fields.
func fieldsSchema(doc string, fields []fieldDoc) map[string]any {
	types := map[string]any{"integer": "integer", "number": "number", "seconds": "number", "string": "string", "boolean": "boolean", "enum": "string", "table": "object"}
	properties, required := map[string]any{}, []string{}
	for _, f := range fields {
		p := map[string]any{"description": f.Doc}
		switch f.Type {
		case "child":
			p["$ref"] = "#/$defs/child"
		case "children":
			p["$ref"] = "#/$defs/children"
		}
		for k, v := range map[string]any{"type": types[f.Type], "default": f.Default} {
			if v != nil {
				p[k] = v
			}
		}
		if len(f.Values) > 0 {
			p["enum"] = f.Values
		}
		if f.Type == "integer" || f.Type == "number" || f.Type == "seconds" {
			for k, v := range map[string]*float64{"minimum": f.Min, "exclusiveMinimum": f.Above, "maximum": f.Max} {
				if v != nil {
					p[k] = *v
				}
			}
		}
		properties[f.Name] = p
		if f.Required {
			required = append(required, f.Name)
		}
	}
	return map[string]any{"description": doc, "type": "object", "properties": properties, "required": required, "additionalProperties": false}
}
