// The main of every measuring program: opens both ends, measures one row, prints one JSON line.
//
// An End has a Medium, what exists before the sides part (shared memory, socket names):
//
//     Medium(const Job&, Board&)
//     static bool Medium::threads(const Job&)   // two threads instead of two processes
//     End(Medium&, unsigned side)               // on its own side; ends the process if it cannot
//
// and send() and poll(), see measure.h.
#pragma once

#include <cstdio>

#include "bench/rig/board.h"
#include "bench/rig/job.h"
#include "bench/rig/measure.h"
#include "bench/rig/sides.h"

namespace penstock::bench {

inline void print(const Job& job, const Board& board) {
  const Result& r = board.result;
  std::printf("{\"name\": \"%s/%zu/%u\", \"value\": %.6g, \"unit\": \"%s\", ", text(job.kind),
              job.size, job.readers, r.value, job.kind == Kind::kRtt ? "us" : "msg/s");
  if (job.kind == Kind::kRtt) {
    std::printf("\"p99\": %.6g, \"p999\": %.6g, ", r.p99, r.p999);
  } else {
    std::printf("\"lowest\": %.6g, \"highest\": %.6g, ", r.lowest, r.highest);
  }
  std::printf("\"samples\": %lu, \"wrong\": %s, \"place_ns\": [%.1f, %.1f]}\n", r.count,
              r.wrong == 0 ? "false" : "true", board.place_before_ns, board.place_after_ns);
}

template <class End>
int bench_main(int argc, char** argv) {
  const Job job = parse_job(argc, argv);
  const Cpus cpus = Cpus::find();
  Board& board = *new_board();
  typename End::Medium medium(job, board);
  const auto body = [&](unsigned side) {
    End end(medium, side);
    const double before = board.place(side);
    board.barrier(side);
    measure(end, side, job, board);
    const double after = board.place(side);
    if (side == 0) {
      board.place_before_ns = before;
      board.place_after_ns = after;
    }
    board.barrier(side);  // nobody closes his end while the other still uses it
  };
  if (End::Medium::threads(job)) {
    run_threads(cpus, body);
  } else if (run_processes(cpus, body) == 1) {
    return 0;
  }
  print(job, board);
  return board.result.wrong == 0 ? 0 : 1;
}

}  // namespace penstock::bench
