package gateway

import (
	"bytes"
	"encoding/json"
	"iter"
	"strings"
)

// The functions of this file walk over JSON that parseObject has found valid.
// encoding/json would hide what has to be refused: it lets the last of two equal
// names win, ignores case, and drops what it does not know. They do not recurse.

// members yields the names and values of an object, in order, with duplicates.
func members(object []byte) iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		s := scanner{object, 1}
		for s.next() != '}' {
			name, _ := text(s.value())
			s.next() // the colon
			s.pos++
			s.next()
			if !yield(name, s.value()) {
				return
			}
		}
	}
}

// elements yields the elements of an array.
func elements(array []byte) iter.Seq[json.RawMessage] {
	return func(yield func(json.RawMessage) bool) {
		s := scanner{array, 1}
		for s.next() != ']' {
			if !yield(s.value()) {
				return
			}
		}
	}
}

type scanner struct {
	raw []byte
	pos int
}

// next moves to the next byte that is neither space nor comma, and returns it.
func (s *scanner) next() byte {
	for strings.IndexByte(" \t\r\n,", s.raw[s.pos]) >= 0 {
		s.pos++
	}
	return s.raw[s.pos]
}

// value returns the value that begins here and moves behind it.
func (s *scanner) value() json.RawMessage {
	start, depth := s.pos, 0
	for {
		switch s.raw[s.pos] {
		case '"':
			s.skipString()
		case '{', '[':
			depth++
			s.pos++
		case '}', ']':
			depth--
			s.pos++
		default:
			s.pos++
		}
		if depth == 0 && s.ended(start) {
			return s.raw[start:s.pos]
		}
	}
}

// ended reports whether the value that began at start is complete: strings,
// objects and arrays end by themselves, the others where something else begins.
func (s *scanner) ended(start int) bool {
	if strings.IndexByte(`"{[`, s.raw[start]) >= 0 {
		return true
	}
	return s.pos == len(s.raw) || strings.IndexByte(" \t\r\n,:}]", s.raw[s.pos]) >= 0
}

func (s *scanner) skipString() {
	for s.pos++; s.raw[s.pos] != '"'; s.pos++ {
		if s.raw[s.pos] == '\\' {
			s.pos++
		}
	}
	s.pos++
}

// text returns what a JSON string says. It is not ok if an escape is half of a
// surrogate pair, which encoding/json silently replaces.
func text(raw json.RawMessage) (s string, ok bool) {
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return "", false
	}
	return s, strings.Count(s, "\uFFFD") <= replacements(raw)
}

// replacements counts the U+FFFD that the sender wrote itself.
func replacements(raw []byte) int {
	return bytes.Count(raw, []byte("\uFFFD")) + bytes.Count(bytes.ToLower(raw), []byte(`\ufffd`))
}

// typeOf names the JSON type of a value.
func typeOf(raw json.RawMessage) string {
	switch raw[0] {
	case '"':
		return "a string"
	case '{':
		return "an object"
	case '[':
		return "an array"
	case 't', 'f':
		return "true or false"
	case 'n':
		return "null"
	}
	return "a number"
}
