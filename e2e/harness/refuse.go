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

// cmdRefused runs the rows of a file against vpc. A row is
//
//	EXIT | regular expression of stderr | arguments
//
// with arguments in double quotes read as Go strings. A row must end with its
// exit code, say what is wrong, not crash, and change nothing. All rows run
// before any of them fails the script.
func cmdRefused(c call, args []string) error {
	if len(args) != 1 {
		return errors.New("want a file of rows")
	}
	var wrong []string
	before, err := c.state()
	if err != nil {
		return err
	}
	for line := range strings.Lines(c.ts.ReadFile(args[0])) {
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
			wrong = append(wrong, line+"\n    changed the state\n    before "+before+"\n    after  "+after)
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
	"DescribeSecurityGroupRules", "DescribeTags", "DescribeInstances", "DescribeLimits"}

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
		err = fmt.Errorf("the state has changed\nbefore %s\nafter  %s", before, after)
	}
	return err
}
