package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type Event struct {
	Do    string   `json:"do"`
	Value any      `json:"value"`
	Names []string `json:"names"`
	Text  string   `json:"text"`
}

func handle(ctx context.Context, event Event) (any, error) {
	switch event.Do {
	case "echo":
		return event.Value, nil
	case "environment":
		found := map[string]any{}
		for _, name := range event.Names {
			if value, is := os.LookupEnv(name); is {
				found[name] = value
			} else {
				found[name] = nil
			}
		}
		return found, nil
	case "context":
		known, _ := lambdacontext.FromContext(ctx)
		deadline, _ := ctx.Deadline()
		left := time.Until(deadline)
		var client any
		if known.ClientContext.Custom != nil {
			client = map[string]any{"custom": known.ClientContext.Custom}
		}
		return map[string]any{
			"request_id": known.AwsRequestID, "name": lambdacontext.FunctionName,
			"version": lambdacontext.FunctionVersion, "arn": known.InvokedFunctionArn,
			"memory": lambdacontext.MemoryLimitInMB, "group": lambdacontext.LogGroupName,
			"stream": lambdacontext.LogStreamName, "in_time": left > 0 && left <= 10*time.Second, "client": client,
		}, nil
	case "fail":
		return nil, errors.New("boom")
	case "exit":
		os.Exit(7)
	case "sleep":
		time.Sleep(time.Minute)
	case "log":
		fmt.Println(event.Text)
	case "count":
		file, _ := os.OpenFile("/tmp/count", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
		defer file.Close()
		file.WriteString("x")
		found, _ := file.Stat()
		return found.Size(), nil
	}
	return nil, nil
}

func main() {
	if os.Getenv("INIT") == "fail" {
		os.Exit(1)
	}
	lambda.Start(handle)
}
