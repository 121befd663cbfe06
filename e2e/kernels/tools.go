package kernels

import (
	"fmt"
	"os/exec"
	"regexp"
	"slices"
)

// tools are the commands that tests run inside the machine. One that is missing
// here is missing there: the test that needs it says so.
var tools = []string{"ip", "tc", "bridge", "ping", "nsenter", "nft", "bpftool", "ss", "sh"}

var library = regexp.MustCompile(`/\S+`)

// toolFiles are the tools and the libraries that they load, as paths of this
// machine that the other one shall have too.
func toolFiles() ([]string, error) {
	var out []string
	for _, name := range tools {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		out = append(out, path)
		said, err := exec.Command("ldd", path).CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("ldd %s: %w\n%s", path, err, said)
		}
		out = append(out, library.FindAllString(string(said), -1)...)
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
