package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"sigs.k8s.io/yaml"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// Values of -o.
const (
	outputTable = "table"
	outputWide  = "wide"
	outputJSON  = "json"
	outputYAML  = "yaml"
	outputID    = "id"
)

var outputs = []string{outputTable, outputWide, outputJSON, outputYAML, outputID}

func checkOutput(o string) error {
	if !slices.Contains(outputs, o) {
		return usagef("-o %s: want one of %s", o, strings.Join(outputs, ", "))
	}
	return nil
}

// emit prints a result: as it is in the machine's formats, its ids with -o id,
// or what human prints.
func (s *session) emit(result any, ids []string, human func()) error {
	switch s.output {
	case outputJSON:
		text, err := resultJSON(result)
		if err != nil {
			return err
		}
		fmt.Fprintln(s.Stdout, text)
	case outputYAML:
		text, err := resultYAML(result)
		if err != nil {
			return err
		}
		fmt.Fprintln(s.Stdout, text)
	case outputID:
		for _, id := range ids {
			fmt.Fprintln(s.Stdout, safe(id))
		}
	default:
		human()
	}
	return nil
}

// human tells whether a person reads the output.
func (s *session) human() bool { return s.output == outputTable || s.output == outputWide }

// say prints one line for people; programs get none.
func (s *session) say(format string, args ...any) {
	if s.human() {
		fmt.Fprintln(s.Stdout, safe(fmt.Sprintf(format, args...)))
	}
}

func resultJSON(result any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(result); err != nil {
		return "", err
	}
	return safeJSON(strings.TrimSuffix(b.String(), "\n")), nil
}

// resultYAML falls back to JSON, which is YAML too, where YAML would put a
// character on the terminal that does not print.
func resultYAML(result any) (string, error) {
	text, err := yaml.Marshal(result)
	if err != nil {
		return "", err
	}
	out := strings.TrimSuffix(string(text), "\n")
	for line := range strings.SplitSeq(out, "\n") {
		if safe(line) != line {
			return resultJSON(result)
		}
	}
	return out, nil
}

// safe escapes all that does not print: control characters could drive the
// terminal, and marks of direction could make one name look like another.
func safe(text string) string {
	return escape(text, func(b *strings.Builder, r rune, raw byte) {
		switch {
		case r == utf8.RuneError:
			fmt.Fprintf(b, `\x%02x`, raw)
		case r < 0x80:
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		case r > 0xffff:
			fmt.Fprintf(b, `\U%08x`, r)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	})
}

// safeJSON does the same for JSON, where such characters occur only inside
// strings; line feeds are layout.
func safeJSON(text string) string {
	return escape(text, func(b *strings.Builder, r rune, _ byte) {
		switch {
		case r == '\n':
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16Pair(r)
			fmt.Fprintf(b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(b, `\u%04x`, r)
		}
	})
}

// utf16Pair splits a character that JSON can only escape in two halves.
func utf16Pair(r rune) (high, low rune) {
	r -= 0x10000
	return 0xd800 + r>>10, 0xdc00 + r&0x3ff
}

// escape copies what prints and hands the rest to put, with the byte at fault
// where the text is not UTF-8.
func escape(text string, put func(b *strings.Builder, r rune, raw byte)) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		if broken := r == utf8.RuneError && size == 1; broken || !unicode.IsPrint(r) {
			put(&b, r, text[i])
		} else {
			b.WriteRune(r)
		}
		i += size
	}
	return b.String()
}

// table is rows of cells under a head. Columns from wide on show with -o wide only.
type table struct {
	head []string
	wide int
	rows [][]string
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

// print writes the table without borders, two spaces between columns.
func (s *session) print(t *table) {
	columns := len(t.head)
	if t.wide > 0 && s.output != outputWide {
		columns = t.wide
	}
	widths := make([]int, columns)
	lines := make([][]string, 0, len(t.rows)+1)
	for _, row := range append([][]string{t.head}, t.rows...) {
		line := make([]string, columns)
		for i := range columns {
			line[i] = safe(firstOf(row[i], "-"))
			widths[i] = max(widths[i], utf8.RuneCountInString(line[i]))
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			b.WriteString(cell)
			if i < columns-1 {
				b.WriteString(strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
			}
		}
		fmt.Fprintln(s.Stdout, strings.TrimRight(b.String(), " "))
	}
}

// fields prints one object as name and value, a line each; empty values are left out.
func (s *session) fields(pairs ...string) {
	width := 0
	for i := 0; i < len(pairs); i += 2 {
		width = max(width, len(pairs[i]))
	}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			fmt.Fprintf(s.Stdout, "%-*s  %s\n", width, pairs[i], safe(pairs[i+1]))
		}
	}
}

// number is empty, not zero, where there is no value.
func number[T int32 | int64](p *T) string {
	if p == nil {
		return ""
	}
	return strconv.FormatInt(int64(*p), 10)
}

// yesNo reads a missing flag as EC2 does: as false.
func yesNo(p *bool) string {
	if api.Val(p) {
		return "yes"
	}
	return "no"
}
