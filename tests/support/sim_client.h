// SimClient: a client of a node, played on virtual time: it never blocks, and does a little at each
// turn. What it writes and reads are true lanes, mapped from the node's descriptors; what it says
// are true packets. What it sends and gets it tells the ledger.
//
//   node ──packets──▶ hear() ──▶ turn(): handle, ask the next thing, publish, read, let go
//
// It differs from dataplane/client in that it never sleeps, and reads the lanes of one publisher in
// the order in which they came.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dataplane/base/sealed_memory.h"
#include "dataplane/lane/reader.h"
#include "dataplane/lane/writer.h"
#include "tests/fuzz/guest.h"
#include "tests/support/cluster_ledger.h"
#include "tests/support/ledger.h"

namespace penstock::test {

class SimClient {
 public:
  struct Where {
    Node& node;
    uint32_t index;  // of the node
    uint32_t life;
  };
  // How much it does at a turn, and how large its messages are.
  struct Pace {
    uint32_t publish = 4;        // messages, of each publisher
    uint32_t eager = 100;        // percent of the turns at which it publishes
    uint32_t read = 16;          // messages, of each lane
    uint32_t release = 50;       // percent of the turns
    uint64_t most_bytes = 1000;  // of a message
    bool keys = true;            // what is pushed may have one
  };

  SimClient(ClusterLedger& ledger, const Where& where, uint64_t seed, uint64_t now);
  ~SimClient();  // dies: its socket ends without a word
  SimClient(const SimClient&) = delete;
  SimClient& operator=(const SimClient&) = delete;

  // What it will ask for, one after the other. A geometry of {0, 0, 0}: the node's default.
  void declare(bool pusher);
  void subscribe(ClusterLedger::Mode mode, std::string_view filter, bool zero_copy = false);
  void leave_one();  // a subscription or a publisher, if it has one

  // Takes what the node has said. Whoever plays the node calls this whenever it has spoken.
  void hear();
  // Returns the work done.
  uint32_t turn(const Pace& pace);
  // So many messages more of each publisher, then none.
  void finish(uint64_t messages);
  // Nothing is asked, and what finish() said is published, or nobody is there to push to.
  bool finished() const;

  uint32_t node() const { return where_.index; }
  uint32_t life() const { return where_.life; }
  uint64_t blocked() const { return blocked_; }      // publishes that found no room
  const std::string& text() const { return text_; }  // what should not have happened
  std::string state() const;

 private:
  struct Reading;
  struct Sender {
    uint64_t id = 0;  // the ledger's
    bool pusher = false;
    uint64_t lane = 0;
    uint32_t bell = 0;
    Mapping memory;
    Mapping page;
    LaneWriter writer;
    uint32_t topics = 0;           // that may be used
    uint64_t left = ~uint64_t{0};  // messages it still sends
    bool alone = false;            // the last push found nobody
    struct Attached {
      uint32_t generation;
      uint64_t table;
    };
    std::map<uint32_t, Attached> readers;  // by mark
  };
  struct Receiver {
    uint64_t id = 0;
    ClusterLedger::Mode mode;
    std::string filter;
    bool zero_copy = false;     // required
    uint64_t subscription = 0;  // the node's name for it
    std::vector<std::unique_ptr<Reading>> lanes;
  };
  struct Heard {
    Guest::Heard packet;
    uint64_t standing = 0;
  };
  struct Wish {
    enum Kind : uint8_t { kDeclare, kSubscribe, kLeave, kEnded } kind;
    bool pusher = false;
    bool zero_copy = false;
    uint64_t subscription = 0;  // that was ended
    ClusterLedger::Mode mode = ClusterLedger::Mode::kReliable;
    std::string filter;
  };

  void handle(Heard& heard);
  void answered(Guest::Heard& packet);
  void welcome(Guest::Heard& packet);
  void declared(Guest::Heard& packet);
  void ask_topic(Sender& s);
  void reader_came(Guest::Heard& packet);
  void reader_gone(const attach::ReaderGone& m);
  void join(Guest::Heard& packet, const attach::Join& m);
  void ask();
  void leave_now();
  void say_goodbye(Receiver& r);
  void ended(const attach::Ended& m);
  static bool stands_at_copied(const Receiver& r, const Reading& lane);
  uint32_t publish(Sender& s, const Pace& pace);
  uint32_t read(Receiver& r, const Pace& pace);
  uint32_t read(Receiver& r, Reading& lane, const Pace& pace);
  void tell_overrun(Receiver& r, Reading& lane, uint64_t source);
  static void let_go(ClusterLedger& ledger, const Receiver& r, Reading& lane);
  Receiver* find(uint64_t subscription);
  static uint64_t publisher_of(const attach::Join& m);
  void fault(const std::string& what) {
    text_ += "\nclient at " + std::to_string(where_.index) + ": " + what;
  }

  ClusterLedger& ledger_;
  Where where_;
  Random random_;
  Guest guest_;
  std::deque<Heard> inbox_;
  std::deque<Wish> wishes_;
  uint32_t request_ = 0;  // that was not answered; 0: none
  bool attached_ = false;
  bool ending_ = false;
  Mapping positions_;
  Mapping bells_;
  Mapping workers_;
  std::map<uint64_t, Mapping> tables_;  // of readers, by the node's name
  std::vector<std::unique_ptr<Sender>> senders_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  uint64_t blocked_ = 0;
  std::string text_;
};

}  // namespace penstock::test
