package api

import "strconv"

// printableMax is as much of foreign text as is repeated, in bytes.
const printableMax = 200

// Printable makes text of a caller, or of another program, safe to show on a
// terminal and in a log: ASCII on one line, control characters, quotes and what
// changes the direction of writing escaped, cut when long.
func Printable(s string) string {
	q, cut := quoted(s)
	return q[1:len(q)-1] + cut
}

// Quote is Printable in double quotes, for text that a reader must be able to
// tell from the sentence around it.
func Quote(s string) string {
	q, cut := quoted(s)
	return q + cut
}

func quoted(s string) (text, cut string) {
	if len(s) > printableMax {
		s, cut = s[:printableMax], "..."
	}
	return strconv.QuoteToASCII(s), cut
}
