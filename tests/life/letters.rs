//! Files, a database on them, and letters that outlive a crash: the same in a simulation and on real files.

use super::bank::say;
use netsplit::mail::{
    Batch, Inbox, Letter, Outbox, Reader, RedbStore, Store, StoreError, Table, Verdict,
};
use netsplit::process::FileError;
use netsplit::{Address, Context, ExitReason, Info};

const BALANCES: Table = Table("balances");

/// Adds up what it reads, and tells the teller of the town.
struct Deposits {
    balance: u64,
}

impl Reader for Deposits {
    type Message = u64;

    fn open(store: &dyn Store, _: Context) -> Result<Deposits, StoreError> {
        let stored = store.get(BALANCES, b"ada")?;
        let stored = stored.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        Ok(Deposits {
            balance: stored.unwrap_or(0),
        })
    }

    async fn letter(&mut self, letter: Letter<u64>, batch: &mut Batch) -> Verdict {
        self.balance += letter.message;
        batch.put(BALANCES, b"ada", self.balance.to_le_bytes());
        Address::<u64>::named("town", "teller").send(self.balance);
        letter.ack()
    }
}

/// The bank's node: an inbox on a database in a file.
pub(crate) async fn bank(ctx: Context) -> Result<(), ExitReason> {
    let inbox = Inbox::<Deposits>::new("deposits", |ctx| {
        RedbStore::open(ctx.files(), "letters/inbox.redb")
    });
    inbox.start(&ctx).await.map_err(ExitReason::error)?;
    ctx.receive().await;
    Ok(())
}

/// The town tries files, and sends letters; the last while the bank is down.
pub(crate) async fn town(ctx: Context<u64>) -> Result<(), ExitReason> {
    ctx.register("teller").map_err(ExitReason::error)?;
    notes(&ctx).await.map_err(ExitReason::error)?;
    let outbox = Outbox::new("outbox", |ctx| {
        RedbStore::open(ctx.files(), "letters/outbox.redb")
    });
    let outbox = outbox.start(&ctx).await.map_err(ExitReason::error)?;
    let locked = RedbStore::open(ctx.files(), "letters/outbox.redb").err();
    say(
        &ctx,
        format_args!("locked: {}", matches!(locked, Some(StoreError::Locked(_)))),
    );
    for amount in [5_u64, 7] {
        let sent = outbox.send(("bank", "deposits"), "ada", &amount).await;
        sent.map_err(ExitReason::error)?;
        say(
            &ctx,
            format_args!("balance: {}", ctx.receive_message().await),
        );
    }
    let _ = ctx.monitor(("bank", "deposits"));
    say(&ctx, "monitors");
    ctx.receive_info(|info| matches!(info, Info::Down { .. }))
        .await;
    let sent = outbox.send(("bank", "deposits"), "ada", &30_u64).await;
    sent.map_err(ExitReason::error)?;
    say(&ctx, "the bank is down, and the letter is stored");
    say(
        &ctx,
        format_args!("balance: {}", ctx.receive_message().await),
    );
    Ok(())
}

/// Each operation on files, once.
async fn notes(ctx: &Context<u64>) -> Result<(), FileError> {
    let files = ctx.files();
    let missing = files.open("notes/today").await.err();
    say(
        ctx,
        missing.map_or_else(String::new, |error| error.to_string()),
    );
    let file = files.create("notes/today").await?;
    file.append(b"buy ").await?;
    let at = file.append(b"mild").await?;
    file.write_at(at + 3, b"k, and more").await?;
    file.truncate(8).await?;
    file.sync().await?;
    files.sync_directory("notes").await?;
    let bytes = file.read_at(0, file.len().await? as usize).await?;
    say(ctx, String::from_utf8_lossy(&bytes));
    let beyond = file.read_at(4, 5).await.err();
    say(
        ctx,
        beyond.map_or_else(String::new, |error| error.to_string()),
    );
    files.rename("notes/today", "notes/old/yesterday").await?;
    files.create("notes/tomorrow").await?;
    say(ctx, format_args!("{:?}", files.list("notes").await?));
    files.remove("notes/old/yesterday").await?;
    say(
        ctx,
        format_args!("there: {}", files.exists("notes/old/yesterday").await?),
    );
    // Whoever has it open keeps it.
    say(ctx, format_args!("{} bytes", file.len().await?));
    Ok(())
}
