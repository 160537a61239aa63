package main

// A verdict is the last line of the output.
type verdict struct {
	Seeds        int       `json:"seeds"`
	FleetHours   float64   `json:"fleet_hours"`
	Crashes      int       `json:"crashes"`
	Pauses       int       `json:"pauses"`
	FaultyReqs   int       `json:"faulty_requests"`
	Violations   int       `json:"violations"`
	Missed       []string  `json:"sometimes_missed"`
	Layer2       layer2    `json:"layer2"`
	Race         race      `json:"race"`
	Mutants      mutants   `json:"mutants"`
	Replay       replay    `json:"replay"`
	ModelStates  int64     `json:"model_states"`
	ModelPlanted int       `json:"model_planted"`
	ModelFound   int       `json:"model_found"`
	Processes    processes `json:"processes"`
	Server       server    `json:"server"`
	Seconds      float64   `json:"seconds"`
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

// server counts what was done to localstream, and what came of it.
type server struct {
	PowerCuts  int `json:"power_cuts"`
	Kills      int `json:"kills"`
	DiskErrors int `json:"disk_errors"`
	Flips      int `json:"flips"`
	Operations int `json:"operations"`
	Lost       int `json:"lost"`
	Wrong      int `json:"wrong"`
}

// processes counts what was done to real processes, and what came of it.
type processes struct {
	Kills       int   `json:"kills"`
	Stops       int   `json:"stops"`
	ServerKills int   `json:"server_kills"`
	Records     int   `json:"records"`
	Lost        int   `json:"lost"`
	OutOfOrder  int   `json:"out_of_order"`
	FailoverP50 int64 `json:"failover_p50_ms"` // of several runs the worst
	FailoverP99 int64 `json:"failover_p99_ms"`
	Violations  int   `json:"violations"`
}

func (p *processes) add(o processes) {
	p.Kills += o.Kills
	p.Stops += o.Stops
	p.ServerKills += o.ServerKills
	p.Records += o.Records
	p.Lost += o.Lost
	p.OutOfOrder += o.OutOfOrder
	p.FailoverP50, p.FailoverP99 = max(p.FailoverP50, o.FailoverP50), max(p.FailoverP99, o.FailoverP99)
	p.Violations += o.Violations
}
