package cloudkernel

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Image is an unpacked kernel package.
type Image struct {
	Kernel  string // the file to boot
	modules string // the folder with its modules
}

// CacheDir keeps packages between runs; they are 30 MB each. It is made.
func CacheDir() (string, error) {
	dir := filepath.Join(os.Getenv("XDG_CACHE_HOME"), "vpc-test")
	if os.Getenv("XDG_CACHE_HOME") == "" {
		dir = "/var/cache/vpc-test"
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// ErrNotOffered says that no configured source has such a kernel.
var ErrNotOffered = errors.New("the configured apt sources offer no such kernel")

// Fetch returns the package of the newest cloud kernel of a series ("6.1"), or
// of any where series is empty: the one in the cache, or the one that apt offers.
func Fetch(series, cache string) (string, error) {
	name := nameOf(series)
	files, err := filepath.Glob(filepath.Join(cache, "linux-image-*.deb"))
	if err != nil {
		return "", err
	}
	if f := newest(name, files); f != "" {
		return f, nil
	}
	p, err := offered(name)
	if err != nil {
		return "", err
	}
	get := exec.Command("apt-get", "-q", "download", p)
	get.Dir = cache
	if out, err := get.CombinedOutput(); err != nil {
		return "", fmt.Errorf("apt-get download %s: %w\n%s", p, err, out)
	}
	files, err = filepath.Glob(filepath.Join(cache, p+"_*.deb"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("apt-get download %s left no package in %s", p, cache)
	}
	return files[0], nil
}

// nameOf matches the packages of a series, and their files.
func nameOf(series string) *regexp.Regexp {
	version := `[0-9]`
	if series != "" {
		version = regexp.QuoteMeta(series) + `\.[0-9]`
	}
	return regexp.MustCompile(`^linux-image-` + version + `[^_]*-cloud-amd64(_|$)`)
}

// offered is the newest package that apt knows. A machine on which nothing was
// missing may have no lists yet: they are fetched where they name no kernel.
func offered(name *regexp.Regexp) (string, error) {
	for _, fetched := range []bool{false, true} {
		names, err := exec.Command("apt-cache", "pkgnames", "linux-image-").Output()
		if err != nil {
			return "", fmt.Errorf("apt-cache: %w", err)
		}
		all := strings.Fields(string(names))
		if p := newest(name, all); p != "" {
			return p, nil
		}
		if fetched || newest(nameOf(""), all) != "" {
			break
		}
		if out, err := exec.Command("apt-get", "-q", "update").CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get update: %w\n%s", err, out)
		}
	}
	return "", ErrNotOffered
}

// newest is the one of the names that match with the greatest numbers.
func newest(name *regexp.Regexp, all []string) string {
	all = slices.DeleteFunc(slices.Clone(all), func(f string) bool { return !name.MatchString(filepath.Base(f)) })
	if len(all) == 0 {
		return ""
	}
	return slices.MaxFunc(all, func(a, b string) int { return slices.Compare(numbers(a), numbers(b)) })
}

var digits = regexp.MustCompile(`[0-9]+`)

func numbers(name string) (out []int) {
	for _, d := range digits.FindAllString(filepath.Base(name), -1) {
		n, _ := strconv.Atoi(d) // longer than any version: equal is good enough
		out = append(out, n)
	}
	return out
}

// Unpack extracts a package below dir.
func Unpack(deb, dir string) (Image, error) {
	if out, err := exec.Command("dpkg-deb", "-x", deb, dir).CombinedOutput(); err != nil {
		return Image{}, fmt.Errorf("unpack %s: %w\n%s", deb, err, out)
	}
	kernels, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(kernels) != 1 {
		return Image{}, fmt.Errorf("%s has %d kernels, want one", deb, len(kernels))
	}
	// Newer packages have lib below usr.
	modules, err := filepath.Glob(filepath.Join(dir, "*", "modules", "*"))
	if len(modules) == 0 && err == nil {
		modules, err = filepath.Glob(filepath.Join(dir, "usr", "*", "modules", "*"))
	}
	if err != nil || len(modules) != 1 {
		return Image{}, fmt.Errorf("%s has modules of %d kernels, want one", deb, len(modules))
	}
	return Image{Kernel: kernels[0], modules: modules[0]}, nil
}

// readModule returns a module's ELF file.
func readModule(path string) ([]byte, error) {
	if !strings.HasSuffix(path, ".xz") {
		return os.ReadFile(path)
	}
	cmd := exec.Command("xz", "-dc", path)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("xz -dc %s: %w %s", path, err, stderr.Bytes())
	}
	return out, nil
}
