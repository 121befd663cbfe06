package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/vpcfabric/vpc/vpcd/api"
)

// cmdRefused runs the rows of files against vpc. A row is
//
//	EXIT | regular expression of stderr | arguments
//
// with arguments in double quotes read as Go strings. A row must end with its
// exit code, say what is wrong, not crash, and change nothing. All rows run
// before any of them fails the script.
func cmdRefused(c call, args []string) error {
	var rows, wrong []string
	for _, file := range args {
		rows = append(rows, strings.Split(c.ts.ReadFile(file), "\n")...)
	}
	if len(rows) == 0 {
		return errors.New("want files of rows")
	}
	before, err := c.state()
	if err != nil {
		return err
	}
	for _, line := range rows {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := c.refusedRow(line); err != nil {
			wrong = append(wrong, line+"\n    "+err.Error())
		}
		after, err := c.state()
		if err != nil {
			return fmt.Errorf("after %s: %w", line, err)
		}
		if after != before {
			wrong = append(wrong, line+"\n    changed the state"+difference(before, after))
			before = after
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("%d rows:\n%s", len(wrong), strings.Join(wrong, "\n"))
	}
	return nil
}

func (c call) refusedRow(line string) error {
	parts := strings.SplitN(line, "|", 3)
	if len(parts) != 3 {
		return errors.New("want EXIT | PATTERN | ARGUMENTS")
	}
	want, err := strconv.Atoi(strings.TrimSpace(parts[0]))
	if err != nil {
		return err
	}
	pattern, err := regexp.Compile(strings.TrimSpace(parts[1]))
	if err != nil {
		return err
	}
	words, err := split(parts[2])
	if err != nil {
		return err
	}
	out, _ := c.run(patience, "vpc", c.expand(words)...)
	switch {
	case crash.MatchString(out.stderr):
		return fmt.Errorf("crashed: %s", out.stderr)
	case out.exit != want:
		return fmt.Errorf("exit code %d: %s%s", out.exit, out.stdout, out.stderr)
	case !pattern.MatchString(out.stderr):
		return fmt.Errorf("says %s", out.stderr)
	}
	return nil
}

// split cuts a line into words; a word in double quotes is a Go string.
func split(line string) (words []string, err error) {
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" {
			return words, nil
		}
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", line, err)
			}
			word, err := strconv.Unquote(quoted)
			if err != nil {
				return nil, err
			}
			words, line = append(words, word), line[len(quoted):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		words, line = append(words, word), rest
	}
}

// described are the actions whose results together are the state.
var described = []string{"DescribeVpcs", "DescribeSubnets", "DescribeNetworkInterfaces", "DescribeSecurityGroups",
	"DescribeSecurityGroupRules", "DescribeNetworkAcls", "DescribeRouteTables", "DescribeManagedPrefixLists", "DescribeTags", "DescribeInstances", "DescribeLimits"}

// state is all that the API shows of the objects.
func (h *host) state() (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out strings.Builder
	for _, name := range described {
		action, ok := api.Actions[name]
		if !ok {
			continue
		}
		res := action.NewResult()
		if _, err := h.api.Do(ctx, name, action.NewRequest(), res); err != nil {
			return "", fmt.Errorf("%s: %w", name, err)
		}
		if err := json.NewEncoder(&out).Encode(res); err != nil {
			return "", err
		}
	}
	return out.String(), nil
}

// difference shows the results, one a line, that are not the same.
func difference(before, after string) string {
	b, a := strings.Split(before, "\n"), strings.Split(after, "\n")
	var out strings.Builder
	for i := range min(len(b), len(a)) {
		if b[i] != a[i] {
			fmt.Fprintf(&out, "\n    before %s\n    after  %s", b[i], a[i])
		}
	}
	return out.String()
}

// cmdUnchanged runs a command and wants the state to be as before, whether the
// command succeeds or not.
//
//	unchanged exit 4 vpc delete prod
func cmdUnchanged(c call, args []string) error {
	before, err := c.state()
	if err != nil {
		return err
	}
	if err := c.do(args); err != nil {
		return err
	}
	after, err := c.state()
	if err == nil && after != before {
		err = errors.New("the state has changed" + difference(before, after))
	}
	return err
}
