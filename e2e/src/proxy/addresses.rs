//! Where responses tell a client the addresses of brokers, so that it can be sent to the proxy instead.
//!
//! Proxy and brokers have the same host, so only ports differ: four bytes wherever they are. No message changes its
//! length, and everything else in it stays as the broker wrote it.

use super::cursor::{Cursor, Malformed};
use super::frame::Head;
use super::{Api, ProxyError};

/// An address in a response.
#[derive(Debug, PartialEq, Eq)]
struct Address {
    host: String,
    port: u16,
    /// Where the four bytes of the port begin.
    at: usize,
}

/// Gives every port in a response to `route` with its host, and puts the answer in its place; how many there were.
pub(super) fn redirect(
    head: Head,
    response: &mut [u8],
    mut route: impl FnMut(&str, u16) -> Result<u16, ProxyError>,
) -> Result<u64, ProxyError> {
    let Head { api, version, .. } = head;
    let found = addresses(api, version, response).map_err(|Malformed| {
        ProxyError::NotKafka(format!("a response to {api:?} that is none of version {version}"))
    })?;
    for address in &found {
        let port = u32::from(route(&address.host, address.port)?);
        response[address.at..address.at + 4].copy_from_slice(&port.to_be_bytes());
    }
    Ok(found.len() as u64)
}

/// The APIs whose responses have addresses in them (KIP-932's share groups aside, which librdkafka does not know).
fn addresses(api: Api, version: i16, response: &[u8]) -> Result<Vec<Address>, Malformed> {
    // The first flexible version, the first one with addresses, and the last one of Kafka 4.4.
    let (flexible, first, last) = match api {
        Api::Metadata => (9, 0, 13),
        Api::FindCoordinator => (3, 0, 6),
        Api::DescribeCluster => (0, 0, 2),
        Api::Produce => (9, 10, 13),
        Api::Fetch => (12, 16, 18),
        _ => return Ok(Vec::new()),
    };
    if version < first {
        return Ok(Vec::new());
    }
    if version > last {
        return Err(Malformed);
    }
    let mut cursor = Cursor::new(response, version >= flexible);
    cursor.skip(4)?; // correlation id
    cursor.tagged()?;
    let mut found = Vec::new();
    match api {
        Api::Metadata => metadata(&mut cursor, version, &mut found)?,
        Api::FindCoordinator => find_coordinator(&mut cursor, version, &mut found)?,
        Api::DescribeCluster => describe_cluster(&mut cursor, version, &mut found)?,
        Api::Produce => produce(&mut cursor, version, &mut found)?,
        _ => fetch(&mut cursor, &mut found)?,
    }
    Ok(found)
}

/// A broker's id, host and port. A coordinator that is not known has neither host nor port.
fn node(cursor: &mut Cursor<'_>, found: &mut Vec<Address>) -> Result<(), Malformed> {
    cursor.skip(4)?;
    let host = String::from_utf8_lossy(cursor.string()?).into_owned();
    let at = cursor.at();
    if let (Ok(port), false) = (u16::try_from(cursor.i32()?), host.is_empty()) {
        found.push(Address { host, port, at });
    }
    Ok(())
}

fn metadata(cursor: &mut Cursor<'_>, version: i16, found: &mut Vec<Address>) -> Result<(), Malformed> {
    cursor.skip(if version >= 3 { 4 } else { 0 })?; // throttle time
    // Nothing behind the brokers is of interest.
    cursor.each(|broker| {
        node(broker, found)?;
        if version >= 1 {
            broker.string()?; // rack
        }
        broker.tagged().map(drop)
    })
}

fn find_coordinator(cursor: &mut Cursor<'_>, version: i16, found: &mut Vec<Address>) -> Result<(), Malformed> {
    cursor.skip(if version >= 1 { 4 } else { 0 })?; // throttle time
    if version >= 4 {
        return cursor.each(|coordinator| {
            coordinator.string()?; // key
            node(coordinator, found)?;
            coordinator.skip(2)?; // error code
            coordinator.string()?; // error message
            coordinator.tagged().map(drop)
        });
    }
    cursor.skip(2)?; // error code
    if version >= 1 {
        cursor.string()?; // error message
    }
    node(cursor, found)
}

fn describe_cluster(cursor: &mut Cursor<'_>, version: i16, found: &mut Vec<Address>) -> Result<(), Malformed> {
    cursor.skip(4 + 2)?; // throttle time, error code
    cursor.string()?; // error message
    cursor.skip(if version >= 1 { 1 } else { 0 })?; // endpoint type
    cursor.string()?; // cluster id
    cursor.skip(4)?; // controller
    cursor.each(|broker| {
        node(broker, found)?;
        broker.string()?; // rack
        broker.skip(if version >= 2 { 1 } else { 0 })?; // is fenced
        broker.tagged().map(drop)
    })
}

fn produce(cursor: &mut Cursor<'_>, version: i16, found: &mut Vec<Address>) -> Result<(), Malformed> {
    cursor.each(|topic| {
        if version >= 13 {
            topic.skip(16)?; // id
        } else {
            topic.string()?; // name
        }
        topic.each(|partition| {
            partition.skip(4 + 2 + 3 * 8)?; // partition, error code, offset, time, start of the log
            partition.each(|record| {
                record.skip(4)?;
                record.string()?; // error message
                record.tagged().map(drop)
            })?;
            partition.string()?; // error message
            partition.tagged().map(drop)
        })?;
        topic.tagged().map(drop)
    })?;
    cursor.skip(4)?; // throttle time
    new_leaders(cursor, found)
}

fn fetch(cursor: &mut Cursor<'_>, found: &mut Vec<Address>) -> Result<(), Malformed> {
    cursor.skip(4 + 2 + 4)?; // throttle time, error code, session
    cursor.each(|topic| {
        topic.skip(16)?; // id
        topic.each(|partition| {
            partition.skip(4 + 2 + 3 * 8)?; // partition, error code, high watermark, stable offset, start of the log
            partition.each(|aborted| {
                aborted.skip(8 + 8)?; // producer id, first offset
                aborted.tagged().map(drop)
            })?;
            partition.skip(4)?; // preferred replica
            partition.skip_bytes()?; // records
            partition.tagged().map(drop)
        })?;
        topic.tagged().map(drop)
    })?;
    new_leaders(cursor, found)
}

/// With "not the leader" comes who is (KIP-951), in the tagged field 0.
fn new_leaders(cursor: &mut Cursor<'_>, found: &mut Vec<Address>) -> Result<(), Malformed> {
    let Some(mut nodes) = cursor.tagged()? else { return Ok(()) };
    nodes.each(|broker| {
        node(broker, found)?;
        broker.string()?; // rack
        broker.tagged().map(drop)
    })
}

#[cfg(test)]
mod tests;
