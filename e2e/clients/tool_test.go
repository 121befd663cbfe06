package clients

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// tool is a client of EC2. Requests and results have EC2's own names, as the
// structs of package api; results are pointers to them.
type tool interface {
	// identity asks STS for the account.
	identity() (string, error)
	// call does one action. A *refusal is what the server has said.
	call(action string, request, result any) error
	// list reads all pages of a list with at most size items each, and says how
	// many requests or rounds that took.
	list(action, member string, request any, size int) (items []json.RawMessage, rounds int, err error)
	// wait runs a waiter, such as vpc_available.
	wait(waiter, parameter string, ids ...string) error
}

// refusal is an error with the code that clients branch on.
type refusal struct{ code, message string }

func (r *refusal) Error() string { return r.code + ": " + r.message }

// codeOf is the code of a refusal, "" for other errors and for none.
func codeOf(err error) string {
	if r := (*refusal)(nil); errors.As(err, &r) {
		return r.code
	}
	return ""
}

// cli is an aws command. Its requests are JSON, because the tests do not know
// each action's options; TestTypedCommands has those that people type.
type cli struct {
	path string
	env  []string
	// endpoint is a flag for versions that do not know the variable.
	endpoint string
}

var (
	capital = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	said    = regexp.MustCompile(`An error occurred \(([^)]+)\) when calling the \w+ operation[^:]*: (.*)`)
)

// kebab is the CLI's name of an action or a parameter.
func kebab(name string) string {
	return strings.ToLower(capital.ReplaceAllString(name, "$1-$2"))
}

func (c cli) run(args ...string) ([]byte, error) {
	if c.endpoint != "" {
		args = append(args, "--endpoint-url", c.endpoint)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.path, args...)
	cmd.Env = c.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if m := said.FindStringSubmatch(stderr.String()); err != nil && m != nil {
		return nil, &refusal{m[1], m[2]}
	}
	if err != nil {
		return nil, fmt.Errorf("aws %s: %w: %s", strings.Join(args, " "), err, &stderr)
	}
	return stdout.Bytes(), nil
}

func (c cli) identity() (string, error) {
	out, err := c.run("sts", "get-caller-identity", "--query", "Account", "--output", "text")
	return strings.TrimSpace(string(out)), err
}

func (c cli) call(action string, request, result any) error {
	in, err := json.Marshal(request)
	if err != nil {
		return err
	}
	out, err := c.run("ec2", kebab(action), "--cli-input-json", string(in), "--output", "json")
	if err != nil || result == nil || len(bytes.TrimSpace(out)) == 0 {
		return err
	}
	return json.Unmarshal(out, result)
}

// list takes two items a round more than a page has, so that rounds end in the
// middle of a page and start there again.
func (c cli) list(action, member string, request any, size int) (items []json.RawMessage, rounds int, err error) {
	in, err := json.Marshal(request)
	if err != nil {
		return nil, 0, err
	}
	next := []string{}
	for {
		args := append([]string{"ec2", kebab(action), "--cli-input-json", string(in), "--output", "json",
			"--page-size", fmt.Sprint(size), "--max-items", fmt.Sprint(size + 2)}, next...)
		out, err := c.run(args...)
		if err != nil {
			return nil, rounds, err
		}
		var page map[string]json.RawMessage
		var some []json.RawMessage
		if err := errors.Join(json.Unmarshal(out, &page), json.Unmarshal(page[member], &some)); err != nil {
			return nil, rounds, err
		}
		items, rounds = append(items, some...), rounds+1
		if page["NextToken"] == nil {
			return items, rounds, nil
		}
		var token string
		if err := json.Unmarshal(page["NextToken"], &token); err != nil {
			return nil, rounds, err
		}
		next = []string{"--starting-token", token}
	}
}

func (c cli) wait(waiter, parameter string, ids ...string) error {
	_, err := c.run(append([]string{"ec2", "wait", strings.ReplaceAll(waiter, "_", "-"), "--" + kebab(parameter)}, ids...)...)
	return err
}

// boto is a Python process with boto3 that does what it reads.
type boto struct {
	cmd   *exec.Cmd
	in    io.WriteCloser
	out   *bufio.Reader
	error *bytes.Buffer
}

// startBoto starts testdata/bridge.py, until close.
func startBoto(python string, env []string) (*boto, error) {
	b := &boto{cmd: exec.Command(python, filepath.Join("testdata", "bridge.py")), error: &bytes.Buffer{}}
	b.cmd.Env, b.cmd.Stderr = env, b.error
	b.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	b.out = bufio.NewReader(out)
	return b, b.cmd.Start()
}

func (b *boto) close() error {
	b.in.Close()
	if err := b.cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, b.error)
	}
	return nil
}

// order is a line for the bridge, report is its answer.
type order struct {
	Do, Name string
	Request  any    `json:",omitempty"`
	Member   string `json:",omitempty"`
	Size     int    `json:",omitempty"`
}

type report struct {
	Result              json.RawMessage
	Rounds              int
	Code, Message, Loss string
}

func (b *boto) do(o order) (report, error) {
	line, err := json.Marshal(o)
	if err != nil {
		return report{}, err
	}
	if _, err := b.in.Write(append(line, '\n')); err != nil {
		return report{}, err
	}
	answer, err := b.out.ReadBytes('\n')
	if err != nil {
		return report{}, fmt.Errorf("the bridge has ended: %w: %s", err, b.error)
	}
	var r report
	switch err := json.Unmarshal(answer, &r); {
	case err != nil:
		return r, err
	case r.Code != "":
		return r, &refusal{r.Code, r.Message}
	case r.Loss != "":
		return r, fmt.Errorf("boto3: %s: %s", o.Name, r.Loss)
	}
	return r, nil
}

func (b *boto) identity() (string, error) {
	r, err := b.do(order{Do: "identity"})
	if err != nil {
		return "", err
	}
	var account string
	return account, json.Unmarshal(r.Result, &account)
}

func (b *boto) call(action string, request, result any) error {
	r, err := b.do(order{Do: "call", Name: action, Request: request})
	if err != nil || result == nil {
		return err
	}
	return json.Unmarshal(r.Result, result)
}

func (b *boto) list(action, member string, request any, size int) (items []json.RawMessage, rounds int, err error) {
	r, err := b.do(order{Do: "list", Name: action, Request: request, Member: member, Size: size})
	if err != nil {
		return nil, 0, err
	}
	return items, r.Rounds, json.Unmarshal(r.Result, &items)
}

func (b *boto) wait(waiter, parameter string, ids ...string) error {
	_, err := b.do(order{Do: "wait", Name: waiter, Request: map[string]any{parameter: ids}})
	return err
}

// tool starts a client, for as long as the test runs; one that is not here skips it.
func (h *host) tool(name string, env environment) tool {
	h.Helper()
	vars := env.list(h.dir)
	switch name {
	case "aws1":
		return cli{path: findCLI(h.T, "1"), env: vars}
	case "aws2":
		// Debian's 2.9 is from before the variable.
		return cli{path: findCLI(h.T, "2"), env: vars, endpoint: env["AWS_ENDPOINT_URL"]}
	}
	b, err := startBoto(findPython(h.T), vars)
	h.must(err)
	h.Cleanup(func() {
		if err := b.close(); err != nil {
			h.Error(err)
		}
	})
	return b
}

// toolNames are what tool knows.
var toolNames = []string{"aws1", "aws2", "boto3"}
