//! The wire of the real host: tasks that dial, accept, read and write frames, and say what happens.
//!
//! Of two nodes the lesser opens the connection, and the greater asks for it by a call that it hangs up: so
//! two that want one at once get one. A frame is its length in four bytes, and a packet.

use futures::channel::mpsc;
use futures::{SinkExt, StreamExt};
use netsplit::NodeId;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// The longest frame that is taken from a peer.
const LONGEST: u32 = 16 << 20;
/// How long a set-up may take.
const SET_UP: Duration = Duration::from_secs(7);

/// What happens outside, in the order in which it is noticed. Numbers tell a connection from earlier ones.
pub(crate) enum Event {
    Dialled(NodeId, u32, Option<TcpStream>),
    Knock(NodeId, TcpStream),
    Frame(NodeId, u32, Vec<u8>),
    Written(NodeId, u32, usize),
    Closed(NodeId, u32),
}

/// Where events go.
pub(crate) type Events = mpsc::Sender<Event>;

pub(crate) async fn dial(own: NodeId, to: NodeId, at: SocketAddr, number: u32, mut events: Events) {
    let knock = async {
        let mut stream = TcpStream::connect(at).await?;
        stream.write_u16(own.index() as u16).await?;
        Ok::<_, std::io::Error>(stream)
    };
    let stream = match timeout(SET_UP, knock).await {
        Ok(Ok(stream)) if own < to => Some(stream),
        Ok(Ok(stream)) => {
            drop(stream);
            // When its call has come, this number is no longer that of the connection.
            sleep(SET_UP).await;
            None
        }
        _ => None,
    };
    let _ = events.send(Event::Dialled(to, number, stream)).await;
}

pub(crate) async fn accept(listener: TcpListener, nodes: usize, mut events: Events) {
    while let Ok((mut stream, _)) = listener.accept().await {
        if let Ok(Ok(from)) = timeout(SET_UP, stream.read_u16()).await
            && usize::from(from) < nodes
        {
            let from = NodeId::new(usize::from(from));
            let _ = events.send(Event::Knock(from, stream)).await;
        }
    }
}

pub(crate) async fn read(mut read: OwnedReadHalf, from: NodeId, number: u32, mut events: Events) {
    while let Ok(length) = read.read_u32().await
        && length <= LONGEST
    {
        let mut frame = vec![0; length as usize];
        if read.read_exact(&mut frame).await.is_err() {
            break;
        }
        let _ = events.send(Event::Frame(from, number, frame)).await;
    }
    let _ = events.send(Event::Closed(from, number)).await;
}

pub(crate) async fn write(
    mut write: OwnedWriteHalf,
    mut outgoing: mpsc::UnboundedReceiver<Vec<u8>>,
    to: NodeId,
    number: u32,
    mut events: Events,
) {
    while let Some(frame) = outgoing.next().await
        && write.write_all(&frame).await.is_ok()
    {
        let _ = events.send(Event::Written(to, number, frame.len())).await;
    }
}
