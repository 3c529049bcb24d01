// Peers: the links of one worker, so that a link that is asked to pass something on finds the one
// it goes over. Owned by the worker's NetPort; the links outlive their time in it.
#pragma once

#include <cstdint>
#include <vector>

namespace penstock {

class InLane;
class Link;

class Peers {
 public:
  void add(Link* link);
  void remove(Link* link);

  // A link to the node that is up, or null.
  Link* to(uint64_t node) const;
  // The one that chose this connection id in the session that it is in, or null.
  Link* with(uint32_t connection) const;
  // The lane's bytes may not be passed on any more: it goes.
  void forget(const InLane* lane);
  // More of the lane has come.
  void news(const InLane* lane);

 private:
  std::vector<Link*> links_;
};

}  // namespace penstock
