package catalogue

import (
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// chars walks over the characters of a text, each with the marks, joiners and
// modifiers that belong to it: what people see as one. WeChat does not say how it
// counts an emoji, and no way of counting finds fewer.
type chars struct {
	text string
	at   int // behind the character
	// n is the character's number from 1, from where it begins, first its first rune.
	n, from int
	first   rune
}

// next moves to the next character; false at the end.
func (c *chars) next() bool {
	if c.at == len(c.text) {
		return false
	}
	r, size := utf8.DecodeRuneInString(c.text[c.at:])
	c.from, c.first = c.at, r
	c.at += size
	c.n++
	flag := isRegional(r)
	for last := r; c.at < len(c.text) && c.text[c.at] >= utf8.RuneSelf; last = r {
		if r, size = utf8.DecodeRuneInString(c.text[c.at:]); !extends(r) {
			joined := last == joiner && isPictograph(r)
			if !joined && (!flag || !isRegional(r)) {
				break
			}
			flag = false // a flag is two of them
		}
		c.at += size
	}
	return true
}

// count is how many characters a text has.
func count(text string) int {
	c := chars{text: text}
	for c.next() { // it counts by itself
	}
	return c.n
}

// units is the length of a text as WeChat's JavaScript would count it, in UTF-16: the
// way of counting that finds most.
func units(text string) int {
	n := 0
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

const joiner = 0x200D

// extends reports whether a rune belongs to the character before it.
func extends(r rune) bool {
	switch {
	case r < 0x300, r >= 0x3400 && r <= 0x9FFF, r >= 0xAC00 && r <= 0xD7A3:
		return false
	case r == joiner, r >= 0x1F3FB && r <= 0x1F3FF, r >= 0xE0020 && r <= 0xE007F:
		return true
	}
	return unicode.IsMark(r) // variation selectors are marks, too
}

func isRegional(r rune) bool { return r >= 0x1F1E6 && r <= 0x1F1FF }

// isPictograph reports whether a rune can follow a joiner in an emoji.
func isPictograph(r rune) bool { return r >= 0x2190 && r <= 0x2BFF || r >= 0x1F000 && r <= 0x1FAFF }

// isHan reports whether a rune is a Chinese character.
func isHan(r rune) bool { return isCommonHan(r) || r >= 0x2E80 && unicode.Is(unicode.Han, r) }

// isCommonHan spares most characters of most texts a look into Unicode's tables.
func isCommonHan(r rune) bool { return r >= 0x4E00 && r <= 0x9FFF }

// isCJK also takes what else may be meant by 汉字 outside China.
func isCJK(r rune) bool {
	return isHan(r) || r >= 0x1100 && unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Hangul, unicode.Bopomofo)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }
