// Script: one link on virtual time against a peer that is written down. A line is a time, a verb
// and words; what they mean stands in scripts/README.md. Everything that the link sends has to be
// named by an `out` line, at the very nanosecond; so has every event.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "tests/dataplane/link/script_frames.h"
#include "tests/dataplane/link/script_words.h"
#include "tests/support/scripted_peer.h"
#include "tests/support/test_lane.h"

namespace penstock::test {

class Script {
 public:
  // Plays a file. Nothing when all went as it says; else file:line, what was expected, what came.
  static std::string play(const std::string& path);

 private:
  void line(const std::string& text);
  void verb(const std::string& verb, Words& words);

  // Time goes on; what the link has to say in between is not as the script says.
  void pass(uint64_t to);
  void turn();
  void settled();

  void config(Words& words);
  void make();
  void connect(Words& words);
  void add_lanes();
  void publish(Words& words);
  void miss(Words& words);
  // `what` for each of "5 TYPE packet=1 position=0 ...": packets and positions go on by one.
  void each(Words& words, void (Script::*what)(Words&));
  void expect_frame(Words& words);
  void give(Words& words);
  Bytes body(FrameType type, Words& words, HopHeader& hop);
  void expect_read(Words& words);
  void expect_event(Words& words);
  void expect_state(Words& words);
  bool counter(const std::string& name, uint64_t& value) const;
  void same(const std::string& said, const std::string& is);
  void fail(const std::string& why) {
    if (why_.empty()) why_ = why;
  }

  LinkConfig config_ = ScriptedPeer::config();
  LaneGeometry mirror_geometry_{.ring_log2 = 9, .arena_log2 = 20, .topics = 1};
  uint64_t start_ = 0;  // position where the lanes begin
  uint64_t inflow_rate_ = 0;
  uint32_t peer_frame_ = ScriptedPeer::kFrame;

  std::unique_ptr<Inflow> inflow_;
  std::unique_ptr<ScriptedPeer> peer_;
  std::unique_ptr<TestLane> lane_, mirror_;
  std::unique_ptr<LaneFeed> feed_;
  LaneReader reader_;
  std::unique_ptr<OutLane> out_;
  std::unique_ptr<InLane> in_;
  uint64_t published_ = 0;
  uint64_t zero_ = 0;  // time 0 of the script
  uint64_t last_ = 0;  // time of the last line
  Numbering numbers_;
  uint64_t last_out_ = 0;  // packet
  uint32_t hello_nonce_ = 0;
  uint64_t ping_token_ = 0;
  std::deque<FrameWords> sent_;  // and not yet named
  std::string why_;
};

}  // namespace penstock::test
