package main

import (
	tlJson "encoding/json"
	tlFmt "fmt"
	tlIo "io"
	tlOs "os"
	tlReflect "reflect"
	tlDebug "runtime/debug"
	tlStrings "strings"
	tlTime "time"
)

func tlFull(v tlReflect.Value) tlReflect.Value {
	switch v.Kind() {
	case tlReflect.Slice:
		full := tlReflect.MakeSlice(v.Type(), v.Len(), v.Len())
		for i := 0; i < v.Len(); i++ {
			full.Index(i).Set(tlFull(v.Index(i)))
		}
		return full
	case tlReflect.Map:
		full := tlReflect.MakeMap(v.Type())
		for _, key := range v.MapKeys() {
			full.SetMapIndex(key, tlFull(v.MapIndex(key)))
		}
		return full
	case tlReflect.Ptr:
		if !v.IsNil() {
			full := tlReflect.New(v.Type().Elem())
			full.Elem().Set(tlFull(v.Elem()))
			return full
		}
	}
	return v
}

func tlCall(raw []tlJson.RawMessage) (answer map[string]interface{}) {
	answer = map[string]interface{}{}
	defer func() {
		if problem := recover(); problem != nil {
			trace := []string{}
			for _, line := range tlStrings.Split(string(tlDebug.Stack()), "\n") {
				if at := tlStrings.Index(line, "/solution.go:"); at >= 0 && len(trace) < 5 {
					trace = append(trace, "line "+tlStrings.Fields(line[at+len("/solution.go:"):])[0])
				}
			}
			answer["error"] = map[string]interface{}{"type": "panic", "message": tlFmt.Sprint(problem), "trace": trace}
		}
	}()
TL_READS	value := TL_CALL
	answer["value"] = tlFull(tlReflect.ValueOf(value)).Interface()
	return
}

func main() {
	tlDebug.SetMaxStack(256 << 20) // recursion without an end is found while there is time
	out := tlOs.Stdout
	source, _ := tlOs.ReadFile("input.json")
	var inputs [][]tlJson.RawMessage
	if err := tlJson.Unmarshal(source, &inputs); err != nil {
		tlOs.Exit(97)
	}
	printed, _ := tlOs.Create(tlOs.TempDir() + "/printed")
	tlOs.Stdout = printed
	for number, raw := range inputs {
		tlFmt.Fprintf(out, "%s{\"begin\":%d}\n", TL_NONCE, number)
		started := tlTime.Now()
		answer := tlCall(raw)
		answer["case"], answer["ms"] = number, float64(tlTime.Since(started).Microseconds())/1000
		printed.Seek(0, tlIo.SeekStart)
		said, _ := tlIo.ReadAll(tlIo.LimitReader(printed, 4000))
		printed.Truncate(0)
		printed.Seek(0, tlIo.SeekStart)
		answer["stdout"] = string(said)
		line, err := tlJson.Marshal(answer)
		if err != nil {
			delete(answer, "value")
			answer["error"] = map[string]interface{}{"type": "result", "message": err.Error()}
			line, _ = tlJson.Marshal(answer)
		}
		tlFmt.Fprintf(out, "%s%s\n", TL_NONCE, line)
	}
}
