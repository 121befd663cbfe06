// Command gen writes the Go side of the actions from the committed models.
//
//	go run ./vpcd/api/gen                   model/{ec2,own}.json → zz_*.go
//	go run ./vpcd/api/gen prune api-2.json  the large EC2 model → model/ec2.json
//
// Generating needs only what is committed. The large model is in the Go module
// github.com/aws/aws-sdk-go v1.55.8, models/apis/ec2/2016-11-15/api-2.json.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	dir, err := apiDir()
	if err != nil {
		return err
	}
	switch {
	case len(args) == 2 && args[0] == "prune":
		return prune(dir, args[1])
	case len(args) != 0:
		return errors.New("usage: gen | gen prune MODEL")
	}
	files, err := generate(dir)
	if err != nil {
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// apiDir finds the api package from the places one runs a generator in: the
// module's root, the package itself (go generate) and this folder (go test).
func apiDir() (string, error) {
	for _, dir := range []string{"vpcd/api", ".", ".."} {
		if _, err := os.Stat(filepath.Join(dir, "model", "own.json")); err == nil {
			return dir, nil
		}
	}
	return "", errors.New("model/own.json not found: run from the module's root or from vpcd/api")
}
