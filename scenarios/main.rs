//! The gallery: systems that people built, as scenarios. Run `netsplit list` to see them.

mod protocols;
mod supe;

use std::process::ExitCode;

fn main() -> ExitCode {
    netsplit::cli::main([
        supe::duplicate_ack::scenario(),
        supe::acked_by_id::scenario(),
        protocols::call::late_reply(),
        protocols::call::sound(),
        protocols::queue::duplicate_ack(),
        protocols::queue::sound(),
        protocols::commit::impatient(),
        protocols::commit::sound(),
        protocols::paxos::own_value_first(),
        protocols::paxos::sound(),
        protocols::raft::forgotten_vote(),
        protocols::raft::unchecked_log(),
        protocols::raft::figure_8(),
        protocols::raft::sound(),
    ])
}
