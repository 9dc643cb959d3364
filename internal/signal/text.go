// SPDX-License-Identifier: Apache-2.0

package signal

import (
	"encoding/base64"
	"math"
	"strconv"
	"unicode/utf8"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// AppendText appends the text of a value to b, or reports false if it is longer than limit bytes: then it is not known how long,
// as it is not written to its end.
//
// Two values of one type never have the same text. Text is itself; an integer, a double, a truth value and bytes are what
// [pcommon.Value.AsString] makes of them. So are maps and lists, that is JSON, but for what JSON cannot tell apart or cannot say:
// a double has a point or an exponent (1.0 is not 1), NaN and the infinities are NaN, Infinity and -Infinity, bytes are a text in
// base64 behind a b, a byte of a text that is not UTF-8 is \x and two hexadecimal digits, and a key that is there twice stays
// there twice.
func AppendText(b []byte, v pcommon.Value, limit int) (text []byte, ok bool) {
	w := textWriter{buf: b, end: len(b) + limit}
	switch v.Type() {
	case pcommon.ValueTypeEmpty:
	case pcommon.ValueTypeStr:
		w.string(v.Str())
	case pcommon.ValueTypeDouble:
		w.buf = appendDouble(w.buf, v.Double())
	case pcommon.ValueTypeBytes:
		w.base64(v.Bytes())
	case pcommon.ValueTypeMap, pcommon.ValueTypeSlice:
		new(walk).value(v, &w)
	default:
		w.scalar(v)
	}
	return w.buf, !w.enough()
}

// textWriter is the visitor that writes a map or a list.
type textWriter struct {
	buf []byte
	end int // of buf, at most: what is behind it does not matter
}

func (w *textWriter) open(isMap bool, _ int) { w.bracket(isMap, '{', '[') }
func (w *textWriter) close(isMap bool)       { w.bracket(isMap, '}', ']') }
func (w *textWriter) enough() bool           { return len(w.buf) > w.end }

func (w *textWriter) bracket(isMap bool, ofMap, ofList byte) {
	if isMap {
		w.buf = append(w.buf, ofMap)
	} else {
		w.buf = append(w.buf, ofList)
	}
}

func (w *textWriter) element(i int, isMap bool, key string) {
	if i > 0 {
		w.buf = append(w.buf, ',')
	}
	if isMap {
		w.quote(key)
		w.buf = append(w.buf, ':')
	}
}

func (w *textWriter) scalar(v pcommon.Value) {
	switch v.Type() {
	case pcommon.ValueTypeStr:
		w.quote(v.Str())
	case pcommon.ValueTypeInt:
		w.buf = strconv.AppendInt(w.buf, v.Int(), 10)
	case pcommon.ValueTypeDouble:
		begin := len(w.buf)
		w.buf = appendDouble(w.buf, v.Double())
		if isInteger(w.buf[begin:]) {
			w.buf = append(w.buf, ".0"...)
		}
	case pcommon.ValueTypeBool:
		w.buf = strconv.AppendBool(w.buf, v.Bool())
	case pcommon.ValueTypeBytes:
		w.buf = append(w.buf, `b"`...)
		w.base64(v.Bytes())
		w.buf = append(w.buf, '"')
	default:
		w.buf = append(w.buf, "null"...)
	}
}

// string appends s, or as much of it as says that it is too long.
func (w *textWriter) string(s string) {
	w.buf = append(w.buf, s[:min(len(s), max(w.end+1-len(w.buf), 0))]...)
}

func (w *textWriter) base64(b pcommon.ByteSlice) {
	if base64.StdEncoding.EncodedLen(b.Len()) > w.end-len(w.buf) {
		w.buf = append(w.buf, make([]byte, max(w.end+1-len(w.buf), 0))...)
		return
	}
	w.buf = base64.StdEncoding.AppendEncode(w.buf, b.AsRaw())
}

const hexDigits = "0123456789abcdef"

// quote appends a text as encoding/json does, without its escapes for HTML.
func (w *textWriter) quote(s string) {
	w.buf = append(w.buf, '"')
	for i := 0; i < len(s) && !w.enough(); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			w.buf = append(w.buf, '\\', 'x', hexDigits[s[i]>>4], hexDigits[s[i]&0xf])
		case r == '"' || r == '\\':
			w.buf = append(w.buf, '\\', s[i])
		case r < ' ':
			w.control(s[i])
		case r == '\u2028' || r == '\u2029': // which end a line in JavaScript
			w.buf = append(w.buf, `\u202`...)
			w.buf = append(w.buf, hexDigits[r&0xf])
		default:
			w.buf = append(w.buf, s[i:i+size]...)
		}
		i += size
	}
	w.buf = append(w.buf, '"')
}

func (w *textWriter) control(c byte) {
	switch c {
	case '\b':
		w.buf = append(w.buf, `\b`...)
	case '\f':
		w.buf = append(w.buf, `\f`...)
	case '\n':
		w.buf = append(w.buf, `\n`...)
	case '\r':
		w.buf = append(w.buf, `\r`...)
	case '\t':
		w.buf = append(w.buf, `\t`...)
	default:
		w.buf = append(w.buf, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
	}
}

// appendDouble appends a number as encoding/json does, and those that it refuses by their names.
func appendDouble(b []byte, d float64) []byte {
	switch {
	case math.IsNaN(d):
		return append(b, "NaN"...)
	case math.IsInf(d, 1):
		return append(b, "Infinity"...)
	case math.IsInf(d, -1):
		return append(b, "-Infinity"...)
	}
	format := byte('f')
	if abs := math.Abs(d); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	b = strconv.AppendFloat(b, d, format, -1, 64)
	if n := len(b); format == 'e' && n >= 4 && string(b[n-4:n-1]) == "e-0" { // e-09 is e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b
}

// isInteger reports whether a number is written with digits alone.
func isInteger(number []byte) bool {
	for _, c := range number {
		if c != '-' && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
