package main

// A verdict is the last line of the output.
type verdict struct {
	Seeds        int      `json:"seeds"`
	FleetHours   float64  `json:"fleet_hours"`
	Crashes      int      `json:"crashes"`
	Pauses       int      `json:"pauses"`
	FaultyReqs   int      `json:"faulty_requests"`
	Violations   int      `json:"violations"`
	Missed       []string `json:"sometimes_missed"`
	Layer2       layer2   `json:"layer2"`
	Race         race     `json:"race"`
	Mutants      mutants  `json:"mutants"`
	Replay       replay   `json:"replay"`
	ModelStates  int64    `json:"model_states"`
	ModelPlanted int      `json:"model_planted"`
	ModelFound   int      `json:"model_found"`
	Seconds      float64  `json:"seconds"`
}

// layer2 counts the fleets on localstream; its violations are among the verdict's.
type layer2 struct {
	Seeds      int     `json:"seeds"`
	FleetHours float64 `json:"fleet_hours"`
	PowerCuts  int     `json:"power_cuts"`
}

// race counts the fleets that ran with the race detector.
type race struct {
	Seeds      int     `json:"seeds"`
	FleetHours float64 `json:"fleet_hours"`
}

type mutants struct {
	Planted int `json:"planted"`
	Found   int `json:"found"`
}

type replay struct {
	Runs  int `json:"runs"`
	Equal int `json:"equal"`
}
