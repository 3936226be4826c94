#!/bin/sh
# A CustomResourceDefinition may give an object the default {} and its fields defaults of their own: what is stored
# has all of them. A CEL rule on that object, however, is also tried on the default as it is written when the
# definition is created, without the inner defaults: a rule that reads a field which can never be missing in a stored
# object keeps the definition from being created ("no such key"). Remedy: guard the field by has(), or put the rule
# one level up.
set -eu
VERSION=v0.36.3
folder=$(mktemp -d)
trap 'chmod -R u+w "$folder"; rm -rf "$folder"' EXIT
cd "$folder"
cat >main.go <<'PROGRAM'
package main

import (
	"context"
	"fmt"
	"os"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apimachinery/pkg/util/yaml"
)

const definition = `
metadata: {name: jobs.example.org}
spec:
  group: example.org
  scope: Namespaced
  names: {plural: jobs, singular: job, kind: Job, listKind: JobList}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          resources:
            type: object
            default: {}
            properties:
              nodes: {type: integer, default: 1}
              gpus: {type: integer, default: 1}
            x-kubernetes-validations:
            - rule: "%s"
status: {storedVersions: [v1]}
`

func check(rule string) []string {
	var crd v1.CustomResourceDefinition
	if err := yaml.Unmarshal([]byte(fmt.Sprintf(definition, rule)), &crd); err != nil {
		panic(err)
	}
	v1.SetDefaults_CustomResourceDefinitionSpec(&crd.Spec)
	crd.Spec.Conversion = &v1.CustomResourceConversion{Strategy: v1.NoneConverter}
	var inner apiextensions.CustomResourceDefinition
	if err := v1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(&crd, &inner, nil); err != nil {
		panic(err)
	}
	var said []string
	for _, err := range validation.ValidateCustomResourceDefinition(context.Background(), &inner) {
		said = append(said, err.Error())
	}
	structural, err := schema.NewStructural(inner.Spec.Validation.OpenAPIV3Schema)
	if err != nil {
		panic(err)
	}
	stored := map[string]interface{}{}
	defaulting.Default(stored, structural)
	fmt.Println("stored from {}:", stored)
	return said
}

func main() {
	bare := check("self.nodes <= 1 || self.gpus >= 1")
	fmt.Println("rule on fields that have defaults:", bare)
	guarded := check("!has(self.nodes) || self.nodes <= 1 || !has(self.gpus) || self.gpus >= 1")
	fmt.Println("the same with has():", guarded)
	if len(bare) == 0 || len(guarded) != 0 {
		fmt.Println("CHANGED")
		os.Exit(1)
	}
}
PROGRAM
go mod init finding >/dev/null 2>&1
go get "k8s.io/apiextensions-apiserver@$VERSION" "k8s.io/apimachinery@$VERSION" >/dev/null 2>&1
go mod tidy >/dev/null 2>&1
echo "k8s.io/apiextensions-apiserver $VERSION"
go run .
