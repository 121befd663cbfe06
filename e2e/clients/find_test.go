package clients

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// places are where programs are looked for besides PATH.
var places = []string{"/usr/local/bin", "/usr/bin", "/opt/*/bin", "/root/.pyenv/versions/*/bin", "/home/*/.pyenv/versions/*/bin"}

// find returns the program that variable names, or the first with this name
// that fits; "" when there is none.
func find(variable, name string, fits func(path string) bool) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	var candidates []string
	if path, err := exec.LookPath(name); err == nil {
		candidates = append(candidates, path)
	}
	for _, dir := range places {
		more, _ := filepath.Glob(filepath.Join(dir, name)) // the patterns are well-formed
		candidates = append(candidates, more...)
	}
	for _, path := range candidates {
		if fits(path) {
			return path
		}
	}
	return ""
}

// missing skips the test, or fails it where `make deps` should have helped.
func missing(t *testing.T, installable bool, format string, args ...any) {
	t.Helper()
	if installable && os.Getenv("CI") == "true" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// packaged tells whether this distribution has a package in a version that
// begins so; only some have the aws CLI, and not all of those its second generation.
func packaged(name, version string) bool {
	out, err := exec.Command("apt-cache", "policy", name).Output()
	return err == nil && strings.Contains(string(out), "Candidate: "+version)
}

// findCLI finds an aws command of a generation, 1 or 2.
func findCLI(t *testing.T, generation string) string {
	t.Helper()
	path := find("VPC_AWS"+generation, "aws", func(path string) bool {
		out, err := exec.Command(path, "--version").CombinedOutput()
		return err == nil && strings.HasPrefix(string(out), "aws-cli/"+generation+".")
	})
	if path == "" {
		missing(t, generation == "2" && packaged("awscli", "2."), "no aws CLI of version %s: name one with VPC_AWS%s", generation, generation)
	}
	return path
}

// findPython finds an interpreter that has boto3.
func findPython(t *testing.T) string {
	t.Helper()
	path := find("VPC_PYTHON", "python3", func(path string) bool {
		return exec.Command(path, "-c", "import boto3").Run() == nil
	})
	if path == "" {
		missing(t, false, "no python3 can import boto3: name one with VPC_PYTHON")
	}
	return path
}

// findTerraform finds terraform and a mirror that has AWS's provider.
func findTerraform(t *testing.T) (program, mirror string) {
	t.Helper()
	program = find("VPC_TERRAFORM", "terraform", func(string) bool { return true })
	if program == "" {
		missing(t, false, "no terraform: name it with VPC_TERRAFORM")
	}
	if mirror = os.Getenv("VPC_TF_MIRROR"); mirror != "" {
		return program, mirror
	}
	home, _ := os.UserHomeDir() // unknown: the pattern matches nothing
	for _, dir := range []string{"/opt/*", "/usr/local/share/terraform/*", "/usr/share/terraform/*", filepath.Join(home, ".terraform.d/*")} {
		found, _ := filepath.Glob(filepath.Join(dir, "registry.terraform.io/hashicorp/aws"))
		if len(found) > 0 {
			return program, filepath.Clean(filepath.Join(found[0], "../../.."))
		}
	}
	missing(t, false, "no mirror with Terraform's provider hashicorp/aws: name its directory with VPC_TF_MIRROR")
	return "", ""
}
