// Character classes of patterns, in the C locale.

package lualib

const (
	isAlpha uint16 = 1 << iota
	isCntrl
	isDigit
	isGraph
	isLower
	isPunct
	isSpace
	isUpper
	isXdigit
	isZero  // %z, which Lua 5.1 needed and 5.4 still knows
	isAlnum = isAlpha | isDigit
)

// classes says which classes each byte is in.
var classes = func() (t [256]uint16) {
	in := func(lo, hi int, class uint16) {
		for c := lo; c <= hi; c++ {
			t[c] |= class
		}
	}
	in('a', 'z', isAlpha|isLower)
	in('A', 'Z', isAlpha|isUpper)
	in('0', '9', isDigit|isXdigit)
	in('a', 'f', isXdigit)
	in('A', 'F', isXdigit)
	in(0, 31, isCntrl)
	in(0, 0, isZero)
	in(127, 127, isCntrl)
	in('!', '~', isGraph)
	in('\t', '\r', isSpace)
	in(' ', ' ', isSpace)
	for c := '!'; c <= '~'; c++ {
		if t[c]&isAlnum == 0 {
			t[c] |= isPunct
		}
	}
	return t
}()

// letters are the classes by their letter.
var letters = [256]uint16{
	'a': isAlpha, 'c': isCntrl, 'd': isDigit, 'g': isGraph, 'l': isLower, 'p': isPunct, 's': isSpace, 'u': isUpper, 'w': isAlnum,
	'x': isXdigit, 'z': isZero,
}

// inClass matches c with %class: a letter in lower case is a class, in upper case its complement, anything else itself.
func inClass(c, class byte) bool {
	mask := letters[class|0x20]
	if mask == 0 || classes[class]&isAlpha == 0 {
		return class == c
	}
	return (classes[c]&mask != 0) == (classes[class]&isLower != 0)
}
