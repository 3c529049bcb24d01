// Worker: one core's run-to-completion loop. It owns a port queue, the links whose paths run over
// it, and the lanes it reads for them. Other cores reach it through its command ring only.
//
//     port.rx ──▶ links ──▶ mirrors ──▶ local readers
//     fabric  ──▶ RDMA paths, which do the same for large messages
//     bells   ──▶ tasks: forwards (lane ──▶ link) and group sources (lane ──▶ inboxes)
//     links   ──▶ port.tx
//     commands, when there is nothing else to do
//
// The same object is driven by a thread of the daemon (run) or by an application between its own
// steps (turn): the embedded node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "dataplane/base/clock.h"
#include "dataplane/base/counter.h"
#include "dataplane/base/drop.h"
#include "dataplane/base/errc.h"
#include "dataplane/base/fd.h"
#include "dataplane/base/idle.h"
#include "dataplane/base/shared_word.h"
#include "dataplane/base/spsc_ring.h"
#include "dataplane/base/stop_flag.h"
#include "dataplane/fabric_port.h"
#include "dataplane/net_port.h"
#include "dataplane/task_list.h"

namespace penstock {

class Worker;

// Something that control wants done on the worker's core. Control makes it and gets it back through
// take_done() after it has run; the command says who owns what then.
class Command {
 public:
  Command() = default;
  Command(const Command&) = delete;
  Command& operator=(const Command&) = delete;
  virtual ~Command() = default;
  virtual void run(Worker& worker, uint64_t now) = 0;
};

// Written by the worker, read by metrics.
struct alignas(kPair) WorkerStats {
  Counter turns;
  Counter busy_turns;
  Counter sleeps;
  Counter busy_ns;        // of turns that did work, when run() drives them
  SharedWord longest_ns;  // of these, since the start
};

class Worker {
 public:
  struct Config {
    uint32_t index = 0;
    IdleConfig idle;
    SharedWord* armed = nullptr;  // its word in the worker page: odd while it sleeps; may be null
  };

  explicit Worker(const Config& config);

  // --- one other core: control ---

  // Hands a command over and wakes the worker. False: the ring is full, try again later.
  bool post(Command* command);
  // A command that has run, or null.
  Command* take_done();
  void stop();
  // After run() has returned: a command that was posted and will not run, or null.
  Command* take_unrun();

  // Readable when commands have run or links have news; control reads it to clear. -1 when the
  // kernel gave none.
  int done_event() const { return done_event_.get(); }

  // What wakes it from any core of this process.
  int wake_event() const { return own_event_.get(); }
  const WorkerStats& stats() const { return stats_; }
  uint32_t index() const { return config_.index; }

  // --- the worker's own core, or before it runs ---

  // One turn: at most a burst in, everything that can go out. Returns the work done.
  uint32_t turn(uint64_t now);
  // Turns until stop(), sleeping as the idle strategy says.
  void run();

  // A queue that it polls: one of each port of the node. Outlives the worker.
  void add_port(NetPort* port) { ports_.push_back(port); }
  // Its device for RDMA, likewise.
  void add_fabric(FabricPort* fabric) { fabrics_.push_back(fabric); }

  TaskList& tasks() { return tasks_; }

  // Descriptors that end a sleep when readable: a client's event, a port's. The caller owns them.
  Errc add_wake_event(int fd);
  void remove_wake_event(int fd);

 private:
  static constexpr size_t kCommands = 1024;
  static constexpr uint64_t kNapNs = 50'000;           // while somebody else must make room
  static constexpr uint64_t kPolledNapNs = 1'000'000;  // longest, when a port cannot wake us
  static constexpr uint64_t kRecalibrateNs = 1'000'000'000;

  uint32_t run_commands(uint64_t now);
  void count_busy(uint64_t ns);
  void sleep(uint64_t now, uint64_t max_ns);
  uint64_t sleep_time(uint64_t now, uint64_t max_ns);

  Config config_;
  std::vector<NetPort*> ports_;
  std::vector<FabricPort*> fabrics_;
  TaskList tasks_;
  Idle idle_;
  Clock clock_;
  uint64_t nap_ns_ = kNapNs;
  uint64_t recalibrated_ = 0;
  Fd epoll_;
  Fd own_event_;
  Fd done_event_;
  WorkerStats stats_;

  SpscRing<Command*, kCommands> commands_;
  SpscRing<Command*, kCommands> done_;
  alignas(kPair) StopFlag stop_;
};

}  // namespace penstock
