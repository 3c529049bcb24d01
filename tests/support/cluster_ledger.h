// ClusterLedger: checks what every subscription of a cluster got against what every publisher sent.
// It goes by what is in the messages (publisher, number, topic, check word) and by what clients and
// operators can see: acknowledgements, gaps, lanes that ended, and nodes that said that a peer was
// up or down. Of positions, sessions and retransmissions it knows nothing.
//
//   publisher ──write, published──▶ [ ledger ] ◀──joined, got, gap, released── subscription
//                                       ▲
//                                       └── heard (a node's log), restarted
//
// What is owed: whoever subscribed while its node and a publisher's were connected gets each
// message of that publisher that matches, once, in order and whole, or a gap for it, from the
// acknowledgement on and until one of the two nodes loses the other. What is missing behind that
// is counted as unreported. Within one lane nothing may be missing, whatever happens.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace penstock::test {

// What is published. A publisher has the topics of one half.
inline constexpr std::array<std::string_view, 4> kTopics{"t.0", "t.1", "w.0", "w.1"};

class ClusterLedger {
 public:
  enum class Mode : uint8_t { kReliable, kLossy, kMember };

  struct Counts {
    uint64_t published = 0, delivered = 0, gaps = 0;
    // What must be zero.
    uint64_t lost = 0, duplicated = 0, reordered = 0, corrupted = 0, phantom = 0;
    uint64_t unreported = 0;  // missing without a gap, when a node had lost another
    // What members of a group could not get, because one left or a node was lost.
    uint64_t untaken = 0;
    // Subscriptions that required zero copy, and were ended before one that was copied.
    uint64_t not_zero_copy = 0;

    uint64_t wrong() const {
      return lost + duplicated + reordered + corrupted + phantom + unreported;
    }
    void add(const Counts& o);
    std::string text() const;
  };

  // Messages larger than `fits` get to no member of a group, and as a gap to other nodes.
  ClusterLedger(uint64_t seed, uint32_t nodes, uint32_t paths, uint64_t fits);

  // --- publishers ---

  uint64_t add_publisher(uint32_t node, uint32_t life);
  static constexpr uint64_t kLeast = 32;  // bytes of a message
  // Writes the next message of the publisher; it counts once published() was called.
  void write(uint64_t publisher, uint32_t topic, std::span<std::byte> to);
  void published(uint64_t publisher);

  // --- subscriptions ---

  // It asks for it now.
  uint64_t add_subscription(uint32_t node, uint32_t life, Mode mode, std::string_view filter);
  void acknowledged(uint64_t subscription);
  // How the node of the subscription stands with that of the publisher: for joined().
  uint64_t standing(uint64_t subscription, uint64_t publisher) const;
  // It begins to read a lane of this publisher, and has read those before to their end. `standing`:
  // when it heard of the lane. Not for the inbox of a member.
  void joined(uint64_t subscription, uint64_t publisher, uint64_t standing);
  // A message under the topic that the lane says. Returns its name, for released().
  struct Name {
    uint64_t publisher = 0;
    uint64_t number = 0;
  };
  Name got(uint64_t subscription, std::string_view topic, std::span<const std::byte> bytes);
  void gap(uint64_t subscription, uint64_t publisher, uint64_t count);
  // A lane ended and the subscriber was told: what was still to come may not.
  void end_of_lane(uint64_t subscription, uint64_t publisher);
  // A member let go of it: nobody else may get it now.
  void released(uint64_t subscription, const Name& name);
  void ended(uint64_t subscription, bool died);
  // The node has ended it. Nothing is owed to it any more.
  void not_zero_copy(uint64_t subscription) {
    counts_.not_zero_copy++;
    ended(subscription, false);
  }
  // Whether a group's member that is the first, at this node, finds something that is still for
  // those before it. Until their nodes, and all that send there, know that they are no more, it
  // goes to them, and is dropped and counted if no other is left there: not owed to who came since.
  using Lingers = std::function<bool(uint32_t node, std::string_view filter)>;
  void set_lingers(Lingers lingers) { lingers_ = std::move(lingers); }

  // --- what nodes say ---

  // A line of the log of a node; what is not about a peer is ignored.
  void heard(uint32_t node, std::string_view line);
  // The node ended. Another life of it may begin, or have begun.
  void restarted(uint32_t node, uint32_t life);
  bool connected(uint32_t a, uint32_t b) const;
  bool connected() const;

  // --- the end ---

  // From here on everything is owed to every subscription and group that there is.
  void begin_end();
  // All of that has come.
  bool complete() const;
  // Settles what never came. Once.
  void close();
  const Counts& counts() const { return counts_; }
  // The first things that went wrong.
  const std::string& text() const { return text_; }

 private:
  struct Sent {
    uint32_t topic;
    uint32_t len;
    uint64_t check;
  };
  struct Publisher {
    uint32_t node;
    uint32_t life;
    std::vector<Sent> sent;
    Sent next{};
    uint64_t end_from = ~uint64_t{0};
  };
  static constexpr uint64_t kUnknown = ~uint64_t{0};
  // One publisher as one subscription gets it.
  struct Flow {
    uint64_t expected = 0;       // the next that may come
    uint64_t owed = kUnknown;    // all that matches from here on
    uint64_t asked = kUnknown;   // was acknowledged: what is missing from here on counts
    uint64_t breaks = kUnknown;  // of the two nodes, when it was sure that all would come
    uint64_t gaps = 0;           // since the last message
    uint64_t met_at = 0;         // its node knew by then what is wanted
    bool told = false;           // that nobody knows how many were missed since
    bool fresh = true;           // a lane was joined since
    bool known = false;          // ever
    // Of a topic that has come in this lane all that follows is owed. Others may not yet have been
    // asked of the publisher's node, if somebody else had the lane before.
    std::array<bool, kTopics.size()> seen{};
    std::vector<bool> got;
  };
  struct Missing {
    uint64_t owed = 0;
    uint64_t others = 0;
  };
  struct Subscription {
    uint32_t node = 0;
    uint32_t life = 0;
    Mode mode = Mode::kReliable;
    std::string filter;
    std::array<bool, kTopics.size()> wants{};
    std::vector<uint64_t> breaks;  // by node, when it asked; kUnknown: not connected
    bool acknowledged = false;
    bool ended = false;
    std::map<uint64_t, Flow> flows;
    // Nodes, and which life of them, that something came from: they know what it wants. Of one that
    // it was never connected with nobody can tell it what it missed.
    std::set<std::pair<uint32_t, uint32_t>> met;
  };
  // All members with one filter.
  struct Group {
    std::array<bool, kTopics.size()> wants{};
    std::map<uint32_t, uint32_t> members;  // acknowledged, by node
    bool owed = false;                     // to somebody, all that is published
    std::map<uint64_t, uint64_t> from;     // by publisher
    // Who has a message: a subscription, kFree, or kSettled.
    std::map<uint64_t, std::vector<uint64_t>> holders;
  };
  static constexpr uint64_t kFree = 0;
  static constexpr uint64_t kSettled = ~uint64_t{0};

  Flow& flow(Subscription& s, uint64_t publisher);
  bool whole(const Subscription& s, const Flow& f, const Publisher& p) const;
  uint64_t breaks(uint32_t a, uint32_t b) const { return breaks_[a * nodes_ + b]; }
  void lose(uint32_t a, uint32_t b);
  Missing missing(const Subscription& s, const Flow& f, const Publisher& p, uint64_t to) const;
  void meet(Subscription& s, const Publisher& from);
  void miss(uint64_t id, const Flow& f, Missing m, const char* what, const Name& name);
  bool take_in_group(uint64_t id, Subscription& s, const Name& name);
  void wrong(uint64_t& count, uint64_t n, const char* what, uint64_t subscription,
             const Name& name);
  void settle(uint64_t id, Subscription& s, uint64_t publisher, const Publisher& p);

  uint64_t seed_;
  uint32_t nodes_;
  uint32_t paths_;
  uint64_t fits_;
  bool ending_ = false;
  std::vector<Publisher> publishers_;        // by id - 1
  std::vector<Subscription> subscriptions_;  // likewise
  std::map<std::string, Group> groups_;
  std::vector<uint64_t> breaks_;  // of two nodes: how often one has lost the other
  std::vector<uint32_t> up_;      // at a node: its paths to another that are up, as bits
  std::vector<uint32_t> lives_;
  Lingers lingers_;
  Counts counts_;
  std::string text_;
};

}  // namespace penstock::test
