//! The gallery: systems that people built, as scenarios. Run `netsplit list` to see them.

mod fred;
mod mail;
mod notify;
mod otp;
mod protocols;
mod supe;

use std::process::ExitCode;

fn main() -> ExitCode {
    netsplit::cli::main([
        notify::pod_mailbox::all(),
        notify::pod_mailbox::unacked(),
        notify::pod_outbox::scenario(),
        notify::heartbeats::slow(),
        notify::heartbeats::hung(),
        notify::heartbeats::fenced(),
        notify::waiting::waiting(),
        notify::waiting::passing_on(),
        otp::chat_room::ghosts(),
        otp::chat_room::chat_room(),
        otp::restart_storm::as_built(),
        otp::restart_storm::promises_less(),
        supe::duplicate_ack::scenario(),
        supe::acked_by_id::scenario(),
        supe::killed_is_shutdown::as_built(),
        supe::killed_is_shutdown::permanent(),
        supe::supervisor_dies::as_built(),
        supe::supervisor_dies::sender_keeps(),
        supe::excessive_crash::as_built(),
        supe::excessive_crash::kept_for_a_human(),
        supe::poison_letter::as_built(),
        supe::poison_letter::set_aside(),
        supe::sendgrid_dam::as_built(),
        supe::sendgrid_dam::wake_up(),
        supe::sendgrid_dam::sound(),
        supe::sound::scenario(),
        fred::publisher::dead_channels(),
        fred::publisher::confirms(),
        fred::publisher::sound(),
        mail::outbox::scenario(),
        mail::by_hand::sound(),
        mail::by_hand::ack_without_id(),
        mail::by_hand::ack_before_effect(),
        mail::by_hand::two_transactions(),
        mail::by_hand::small_window(),
        mail::by_hand::unsynced_store(),
        mail::queue::sound(),
        mail::queue::requeue_to_head(),
        mail::lease::sound(),
        mail::lease::no_fencing(),
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
