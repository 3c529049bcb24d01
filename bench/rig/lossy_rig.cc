// What loss and incast cost, on virtual time: one figure a run, the same on every machine.
//
//   lossy_rig goodput RECEIVERS LOST IN_A_ROW    bytes a second to each receiver; LOST of a million
//   lossy_rig wire RECEIVERS LOST IN_A_ROW       bytes sent for one of payload to one receiver
//   lossy_rig dropped SENDERS MARKS              share of frames that the switch dropped
//   lossy_rig time SENDERS MARKS                 time, for one that the receiver's cable would take
//   lossy_rig chain_egress RECEIVERS MESSAGES MIB         bytes sent for one of payload
//   lossy_rig chain_time RECEIVERS MESSAGES MIB           time, for one that its cable would take
//   lossy_rig chain_killed RECEIVERS MESSAGES MIB HOST    seconds more when this one dies half-way
//
// `--ms` is taken and not needed.
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/support/sim_runs.h"

namespace {

using namespace penstock::test;

void print(double value, bool done, uint64_t wrong) {
  std::printf("{\"value\": %.9g, \"wrong\": %llu, \"place_ns\": null}\n", value,
              static_cast<unsigned long long>(wrong + (done ? 0 : 1)));
}

uint32_t number(const char* text) {
  return static_cast<uint32_t>(std::strtoul(text, nullptr, 10));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view what = argc > 1 ? argv[1] : "";
  if ((what == "goodput" || what == "wire") && argc >= 5) {
    const LossyOutcome o = run_lossy(
        {.receivers = number(argv[2]), .lost = number(argv[3]), .in_a_row = number(argv[4])});
    print(what == "wire" ? o.wire : o.bytes_per_ns * 1e9, o.done, o.wrong);
    return 0;
  }
  if ((what == "dropped" || what == "time") && argc >= 4) {
    const IncastOutcome o = run_incast({.senders = number(argv[2]), .marks = number(argv[3]) != 0});
    print(what == "time" ? o.time : o.dropped, o.done, o.wrong);
    return 0;
  }
  if (what.starts_with("chain_") && argc >= 5) {
    const bool killed = what == "chain_killed" && argc >= 6;
    const ChainRun run{.receivers = number(argv[2]),
                       .size = uint64_t{number(argv[4])} << 20,
                       .messages = number(argv[3])};
    const ChainOutcome o = run_chain(run);
    if (killed) {
      ChainRun second = run;
      second.killed = number(argv[5]);
      const ChainOutcome k = run_chain(second);
      print(k.seconds - o.seconds, o.done && k.done, o.wrong + k.wrong);
    } else {
      print(what == "chain_egress" ? o.egress : o.time, o.done, o.wrong);
    }
    return 0;
  }
  std::fprintf(stderr,
               "usage: lossy_rig goodput|wire RECEIVERS LOST IN_A_ROW\n"
               "       lossy_rig dropped|time SENDERS MARKS\n"
               "       lossy_rig chain_egress|chain_time RECEIVERS MESSAGES MIB\n"
               "       lossy_rig chain_killed RECEIVERS MESSAGES MIB HOST\n");
  return 2;
}
