package cli

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vpcfabric/vpc/vpcd/api"
)

func TestAccessKeys(t *testing.T) {
	b := newBench(t)
	golden(t, "accesskeys", b.story(
		"access-key list",
		"access-key create ci",
		"access-key add other -q",
		"access-key create third --dry-run",
		"access-key create AKIA:x",
		"access-key ls -o wide",
		"access-key rm AKIA0000",
		"access-key rm nobody",
		"access-key rm ci --dry-run",
		"access-key rm ci AKIA0000000000000002",
		"access-key list -q",
		"access-key list -o json",
	))
	// A change of keys reaches no kernel, so nothing is waited for.
	for _, call := range b.calls {
		if strings.HasPrefix(call, "Wait") {
			t.Error(call)
		}
	}
}

// TestALostSecretIsMarked, and under the table it says what to do.
func TestALostSecretIsMarked(t *testing.T) {
	b := newBench(t)
	b.ok("access-key create ci")
	b.keys[0].Problem = "put the seal.key back"
	out := b.ok("access-key list")
	if lines := strings.Split(out, "\n"); !strings.HasSuffix(lines[1], " lost") || !strings.Contains(out, b.keys[0].Problem) {
		t.Errorf("listed as\n%s", out)
	}
}

func TestASecretIsShownOnce(t *testing.T) {
	b := newBench(t)
	var made struct{ AccessKey api.AccessKey }
	if err := json.Unmarshal([]byte(b.ok("access-key create ci -o json")), &made); err != nil || len(made.AccessKey.SecretAccessKey) != 40 {
		t.Errorf("made %+v, %v", made, err)
	}
	for _, line := range []string{"access-key list", "access-key list -o wide", "access-key list -o json", "access-key list -o yaml"} {
		if out := b.ok(line); strings.Contains(out, made.AccessKey.SecretAccessKey) || !strings.Contains(out, made.AccessKey.AccessKeyId) {
			t.Errorf("vpc %s:\n%s", line, out)
		}
	}
}

func exampleEnvironment() api.GetEnvironmentResult {
	return api.GetEnvironmentResult{EndpointUrl: "http://127.0.0.1:4000", Region: "local-1",
		AccessKeyId: "AKIAAAAAAAAAAAAAAAAA", SecretAccessKey: strings.Repeat("ab+/", 10)}
}

func TestEnv(t *testing.T) {
	b := newBench(t)
	b.environment = exampleEnvironment()
	lines := []string{"env", "env --shell sh", "env --shell fish", "env --shell json", "env -o json", "env -q", "env --dry-run", "env --shell csh"}
	out := b.story(lines...)
	b.refuse["GetEnvironment"] = &api.Error{Code: "UnsupportedOperation", Message: "EC2 clients are not served: this vpcd runs without --ec2-listen", Hint: "start it"}
	golden(t, "env", out+b.story("env"))
}

// TestEnvInAShell lets shells read what they are given, quoted or not, and
// looks at what reaches a program: a value is never more than a value.
func TestEnvInAShell(t *testing.T) {
	hostile := `it's "a" $HOME ${x} $(touch gone) ` + "`touch gone`" + ` \ \n ; touch gone # & | < >`
	for _, value := range []string{"plain", hostile, "'", `\`, `'\''`, "-n", "a=b", "*é"} {
		b := newBench(t)
		b.environment = exampleEnvironment()
		b.environment.SecretAccessKey = value
		text := b.ok("env")
		for _, eval := range []string{`eval "$TEXT"`, `eval $TEXT`} {
			for _, shell := range []string{"dash", "bash", "zsh"} {
				path, err := exec.LookPath(shell)
				if err != nil {
					continue
				}
				cmd := exec.Command(path, "-c", "set -f; "+eval+`; exec env`)
				cmd.Dir = t.TempDir()
				cmd.Env = []string{"TEXT=" + text, "PATH=/usr/bin:/bin", "AWS_SESSION_TOKEN=of-another-key", "AWS_PROFILE=prod", "AWS_ENDPOINT_URL_EC2=https://example.com"}
				out, err := cmd.CombinedOutput()
				lines := strings.Split(string(out), "\n")
				if err != nil || !slices.Contains(lines, "AWS_SECRET_ACCESS_KEY="+value) || !slices.Contains(lines, "AWS_EC2_METADATA_DISABLED=true") {
					t.Errorf("%s: %s: %v\n%s", shell, eval, err, out)
				}
				if i := slices.IndexFunc(lines, func(l string) bool { name, _, _ := strings.Cut(l, "="); return slices.Contains(stale, name) }); i >= 0 {
					t.Errorf("%s: %s leaves %s", shell, eval, lines[i])
				}
				if files, err := exec.Command("ls", cmd.Dir).Output(); err != nil || len(files) > 0 {
					t.Errorf("%s: %s ran a command: %s %v", shell, eval, files, err)
				}
			}
		}
	}
}

func TestEnvRefusesWhatDoesNotPrint(t *testing.T) {
	for _, value := range []string{"a\nb", "\x1b[31m", "\x00", "\u202e"} {
		b := newBench(t)
		b.environment = exampleEnvironment()
		b.environment.Region = value
		for _, shell := range []string{"sh", "fish"} {
			if got := b.run("env --shell " + shell); got.code != api.ExitOther || got.out != "" || !strings.Contains(got.errOut, "AWS_REGION") {
				t.Errorf("%q: exit %d\n%s%s", value, got.code, got.out, got.errOut)
			}
		}
	}
}

func TestFishQuoting(t *testing.T) {
	out, err := fishLines([]variable{{name: "A", value: `it's \ $HOME`}})
	if want := `set -gx A 'it\'s \\ $HOME';` + "\n"; err != nil || out != want {
		t.Errorf("have %q, %v, want %q", out, err, want)
	}
}
